// Modules, functions and their launch. What a module holds is not looked at:
// kernels are found by name among those that were compiled in.
#include "driver.h"

#include <map>

namespace emulated {

// Made at the first use, as files register their kernels while they are loaded.
static std::map<std::string, Kernel> &kernels() {
    static auto *all = new std::map<std::string, Kernel>;
    return *all;
}

void add_kernel(Kernel kernel) {
    std::string name = kernel.name;
    if (!kernels().emplace(name, std::move(kernel)).second)
        fail("two kernels are called %s", name.c_str());
}

} // namespace emulated

using namespace driver;
using emulated::Kernel;

// As a GPU of compute capability 9.0 has it.
constexpr size_t MOST_SHARED = 227 * 1024, STATIC_SHARED = 48 * 1024;

EXPORT Result cuModuleLoadData(void **module, const void *) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    if (Result result = outside_capture()) return result;
    *module = new char;
    return SUCCESS;
}
EXPORT Result cuModuleLoadDataEx(void **module, const void *image, unsigned, void *, void *) {
    return cuModuleLoadData(module, image);
}
EXPORT Result cuModuleLoadFatBinary(void **module, const void *image) {
    return cuModuleLoadData(module, image);
}
EXPORT Result cuModuleLoad(void **module, const char *) {
    return cuModuleLoadData(module, nullptr);
}
EXPORT Result cuModuleUnload(void *module) {
    HOLD;
    delete static_cast<char *>(module);
    return SUCCESS;
}
EXPORT Result cuModuleGetFunction(void **function, void *, const char *name) {
    HOLD;
    auto found = emulated::kernels().find(name);
    if (found == emulated::kernels().end())
        return complain(NOT_FOUND, "no kernel is called %s", name);
    *function = &found->second;
    return SUCCESS;
}
EXPORT Result cuModuleGetGlobal_v2(void **, size_t *, void *, const char *) {
    return NOT_FOUND;
}

EXPORT Result cuFuncGetAttribute(int *value, int attribute, void *function) {
    HOLD;
    switch (attribute) {
    case 0: *value = 1024; break;
    case 4: *value = 32; break;
    case 5: case 6: *value = 90; break;
    case 8: *value = int(static_cast<Kernel *>(function)->dynamic_limit); break;
    default: *value = 0;
    }
    return SUCCESS;
}
EXPORT Result cuFuncSetAttribute(void *function, int attribute, int value) {
    HOLD;
    if (attribute != 8) return SUCCESS;
    if (value < 0 || size_t(value) > MOST_SHARED) return INVALID_VALUE;
    static_cast<Kernel *>(function)->dynamic_limit = value;
    return SUCCESS;
}
EXPORT Result cuFuncSetCacheConfig(void *, int) { return SUCCESS; }

namespace {

struct Call {
    Kernel *kernel;
    dim3 grid, block;
    unsigned shared_bytes;
    std::vector<char> bytes;
    std::vector<void *> arguments;

    Call(Kernel *kernel, dim3 grid, dim3 block, unsigned shared_bytes, void **given)
        : kernel(kernel), grid(grid), block(block), shared_bytes(shared_bytes) {
        size_t size = 0;
        for (auto &parameter : kernel->parameters) size += (parameter.bytes + 15) / 16 * 16;
        bytes.resize(size + 16);
        char *at = bytes.data() + (16 - reinterpret_cast<uintptr_t>(bytes.data()) % 16) % 16;
        for (size_t i = 0; i < kernel->parameters.size(); i++) {
            memcpy(at, given[i], kernel->parameters[i].bytes);
            arguments.push_back(at);
            at += (kernel->parameters[i].bytes + 15) / 16 * 16;
        }
    }
    Call(const Call &) = delete;

    Result run() {
        for (size_t i = 0; i < arguments.size(); i++) {
            if (!kernel->parameters[i].is_pointer) continue;
            void *at = *static_cast<void **>(arguments[i]);
            if (at && !is_live(at))
                return complain(ILLEGAL_ADDRESS, "%s: argument %zu is %p, not device memory",
                                kernel->name.c_str(), i, at);
        }
        emulated::Launch launch;
        launch.grid = grid;
        launch.block = block;
        launch.shared_bytes = shared_bytes;
        launch.shared_limit =
            kernel->dynamic_limit > STATIC_SHARED ? MOST_SHARED : STATIC_SHARED;
        launch.name = kernel->name.c_str();
        launch.early_exit = kernel->early_exit;
        emulated::run(launch, [this] { kernel->call(kernel->kernel, arguments.data()); });
        return SUCCESS;
    }
};

Result launch(void *function, dim3 grid, dim3 block, unsigned shared_bytes, void *stream,
              void **arguments) {
    auto kernel = static_cast<Kernel *>(function);
    if (!kernel) return INVALID_HANDLE;
    if (!has_context()) return INVALID_CONTEXT;
    bool fits = grid.x && grid.y && grid.z && grid.x <= 0x7fffffff && grid.y <= 65535 &&
                grid.z <= 65535 && block.x && block.y && block.z && block.x <= 1024 &&
                block.y <= 1024 && block.z <= 64 &&
                uint64_t(block.x) * block.y * block.z <= 1024 &&
                shared_bytes <= kernel->dynamic_limit;
    if (!fits)
        return complain(INVALID_VALUE,
                        "%s: a grid of (%u, %u, %u), blocks of (%u, %u, %u) and %u shared "
                        "bytes cannot be launched",
                        kernel->name.c_str(), grid.x, grid.y, grid.z, block.x, block.y, block.z,
                        shared_bytes);
    auto call = std::make_shared<Call>(kernel, grid, block, shared_bytes, arguments);
    return enqueue(stream_of(stream), KERNEL, [call] { return call->run(); });
}

// CUlaunchConfig.
struct Config {
    unsigned grid[3], block[3], shared_bytes;
    void *stream;
};

} // namespace

EXPORT Result cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                             unsigned block_x, unsigned block_y, unsigned block_z,
                             unsigned shared_bytes, void *stream, void **arguments,
                             void **extra) {
    HOLD;
    if (extra) return NOT_SUPPORTED;
    return launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes,
                  stream, arguments);
}
EXPORT Result cuLaunchKernelEx(const Config *how, void *function, void **arguments,
                               void **extra) {
    HOLD;
    if (extra) return NOT_SUPPORTED;
    return launch(function, {how->grid[0], how->grid[1], how->grid[2]},
                  {how->block[0], how->block[1], how->block[2]}, how->shared_bytes, how->stream,
                  arguments);
}

EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *, int threads,
                                                          size_t shared_bytes) {
    int by_threads = threads > 0 ? 2048 / ((threads + 31) / 32 * 32) : 0;
    int by_shared = int(228 * 1024 / (shared_bytes + 1024));
    *blocks = min(min(by_threads, by_shared), 32);
    return SUCCESS;
}
EXPORT Result cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, void *function, int threads, size_t shared_bytes, unsigned) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, shared_bytes);
}
EXPORT Result cuOccupancyMaxPotentialBlockSize(int *least_grid, int *block, void *, void *,
                                               size_t, int limit) {
    *block = limit > 0 && limit < 1024 ? limit : 1024;
    *least_grid = 132 * (2048 / *block);
    return SUCCESS;
}

// For the libraries beside the driver: puts work on a stream.
EXPORT int dragoman_enqueue(void *stream, const std::function<void()> *work) {
    HOLD;
    return enqueue(stream_of(stream), KERNEL, [run = *work]() -> Result {
        run();
        return SUCCESS;
    });
}
// Whether a range lies in memory of the device; for their arguments.
EXPORT int dragoman_on_device(const void *at, size_t bytes) {
    HOLD;
    return on_device(at, bytes);
}
