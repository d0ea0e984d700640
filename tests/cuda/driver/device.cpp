// The device, its context and its properties: those of a GPU of compute
// capability 9.0, with one context.
#include "driver.h"

#include <dlfcn.h>
#include <string>

using namespace driver;

static char the_context;
static thread_local void *current = nullptr;

bool driver::has_context() { return current != nullptr; }

EXPORT Result cuInit(unsigned) { return SUCCESS; }
EXPORT Result cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}
EXPORT Result cuDeviceGetCount(int *count) {
    *count = 1;
    return SUCCESS;
}
EXPORT Result cuDeviceGet(int *device, int ordinal) {
    if (ordinal != 0) return Result(101);
    *device = 0;
    return SUCCESS;
}
EXPORT Result cuDeviceGetName(char *name, int length, int) {
    snprintf(name, length, "Emulated GPU");
    return SUCCESS;
}
EXPORT Result cuDeviceGetUuid_v2(char *uuid, int) {
    memset(uuid, 0xe0, 16);
    return SUCCESS;
}
EXPORT Result cuDeviceGetUuid(char *uuid, int device) {
    return cuDeviceGetUuid_v2(uuid, device);
}
EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = TOTAL_MEMORY;
    return SUCCESS;
}

EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 1: case 2: case 3: *value = 1024; break;   // threads of a block; x, y
    case 4: *value = 64; break;                     // z
    case 5: *value = 0x7fffffff; break;             // grid: x
    case 6: case 7: *value = 65535; break;          // y, z
    case 8: *value = 48 * 1024; break;              // shared memory of a block
    case 9: *value = 64 * 1024; break;              // constant memory
    case 10: *value = 32; break;                    // warp
    case 12: case 82: *value = 65536; break;        // registers
    case 13: *value = 1'980'000; break;             // clock, kHz
    case 16: *value = 132; break;                   // multiprocessors
    case 31: case 40: case 41: *value = 1; break;   // concurrency, unified addresses
    case 36: *value = 2'619'000; break;             // memory clock, kHz
    case 37: *value = 5120; break;                  // memory bus, bits
    case 38: *value = 50 << 20; break;              // L2 cache
    case 39: *value = 2048; break;                  // threads of a multiprocessor
    case 75: *value = 9; break;                     // compute capability
    case 76: *value = 0; break;
    case 81: *value = 228 * 1024; break;            // shared memory of a multiprocessor
    case 97: *value = 227 * 1024; break;            // of a block that asks for it
    case 106: *value = 32; break;                   // blocks of a multiprocessor
    case 111: *value = 1024; break;                 // reserved shared memory
    case 95: case 115: *value = 1; break;           // cooperative launch, memory pools
    default: *value = 0;
    }
    return SUCCESS;
}
EXPORT Result cuDeviceComputeCapability(int *major, int *minor, int) {
    *major = 9;
    *minor = 0;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRetain(void **context, int) {
    *context = &the_context;
    return SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
EXPORT Result cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return SUCCESS; }
EXPORT Result cuDevicePrimaryCtxGetState(int, unsigned *flags, int *active) {
    *flags = 0;
    *active = 1;
    return SUCCESS;
}
EXPORT Result cuCtxCreate_v4(void **context, void *, unsigned, int) {
    *context = current = &the_context;
    return SUCCESS;
}
EXPORT Result cuCtxDestroy_v2(void *) { return SUCCESS; }
EXPORT Result cuCtxGetCurrent(void **context) {
    *context = current;
    return SUCCESS;
}
EXPORT Result cuCtxSetCurrent(void *context) {
    current = context;
    return SUCCESS;
}
EXPORT Result cuCtxPushCurrent_v2(void *context) { return cuCtxSetCurrent(context); }
EXPORT Result cuCtxPopCurrent_v2(void **context) {
    if (context) *context = current;
    current = nullptr;
    return SUCCESS;
}
EXPORT Result cuCtxGetDevice(int *device) {
    *device = 0;
    return has_context() ? SUCCESS : INVALID_CONTEXT;
}
EXPORT Result cuCtxGetApiVersion(void *, unsigned *version) {
    *version = 13000;
    return SUCCESS;
}
EXPORT Result cuCtxSetFlags(unsigned) { return SUCCESS; }
EXPORT Result cuCtxSetLimit(int, size_t) { return SUCCESS; }
EXPORT Result cuCtxGetLimit(size_t *value, int) {
    *value = 0;
    return SUCCESS;
}
EXPORT Result cuCtxGetCacheConfig(int *config) {
    *config = 0;
    return SUCCESS;
}
EXPORT Result cuCtxSetCacheConfig(int) { return SUCCESS; }

// Memory pools hold nothing here; any handle does.
static char the_pool;
EXPORT Result cuDeviceGetDefaultMemPool(void **pool, int) {
    *pool = &the_pool;
    return SUCCESS;
}
EXPORT Result cuDeviceGetMemPool(void **pool, int) {
    return cuDeviceGetDefaultMemPool(pool, 0);
}
EXPORT Result cuDeviceSetMemPool(int, void *) { return SUCCESS; }
EXPORT Result cuMemPoolCreate(void **pool, const void *) {
    return cuDeviceGetDefaultMemPool(pool, 0);
}
EXPORT Result cuMemPoolDestroy(void *) { return SUCCESS; }
EXPORT Result cuMemPoolSetAttribute(void *, int, void *) { return SUCCESS; }
EXPORT Result cuMemPoolGetAttribute(void *, int attribute, void *value) {
    if (attribute >= 4) *static_cast<uint64_t *>(value) = 0;
    else *static_cast<int *>(value) = 0;
    return SUCCESS;
}
EXPORT Result cuMemPoolTrimTo(void *, size_t) { return SUCCESS; }
EXPORT Result cuMemPoolSetAccess(void *, const void *, size_t) { return SUCCESS; }
EXPORT Result cuDeviceGraphMemTrim(int) { return SUCCESS; }
EXPORT Result cuDeviceGetGraphMemAttribute(int, int, uint64_t *value) {
    *value = 0;
    return SUCCESS;
}

static const struct {
    int result;
    const char *name, *meaning;
} MEANINGS[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while a stream captures"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the capture failed before"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "it would merge two captures"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture began on another stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a stream of the capture was not joined"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a dependency on work outside the capture"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the legacy stream would wait for a capture"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "another thread began the capture"},
};
EXPORT Result cuGetErrorName(int result, const char **name) {
    for (auto &meaning : MEANINGS)
        if (meaning.result == result) return *name = meaning.name, SUCCESS;
    return *name = nullptr, INVALID_VALUE;
}
EXPORT Result cuGetErrorString(int result, const char **text) {
    for (auto &meaning : MEANINGS)
        if (meaning.result == result) return *text = meaning.meaning, SUCCESS;
    return *text = nullptr, INVALID_VALUE;
}

// The newest version of a function is what the name without one asks for.
EXPORT Result cuGetProcAddress_v2(const char *name, void **function, int, uint64_t,
                                  int *status) {
    Dl_info self;
    dladdr(&the_context, &self);
    void *library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    *function = nullptr;
    for (const char *suffix : {"_v4", "_v3", "_v2", ""})
        if (!*function) *function = dlsym(library, (std::string(name) + suffix).c_str());
    if (status) *status = *function ? 0 : 1;
    return *function ? SUCCESS : NOT_FOUND;
}
