// Blocks and their threads. Every thread of the running block is a fiber on a
// stack of its own; one runs until it has to wait for others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#define EMULATED_HIDDEN __attribute__((visibility("hidden")))

// Set before a thread runs.
extern EMULATED_HIDDEN uint3 threadIdx;
extern EMULATED_HIDDEN uint3 blockIdx;
extern EMULATED_HIDDEN dim3 blockDim;
extern EMULATED_HIDDEN dim3 gridDim;
#define warpSize 32

namespace emulated {

struct Launch {
    dim3 grid, block;
    // Of dynamic shared memory, in bytes.
    size_t shared_bytes = 0;
    // What static and dynamic shared memory together may take, in bytes.
    size_t shared_limit = 227 * 1024;
    const char *name = "kernel";
    // Threads may end while others of the block still meet at barriers.
    bool early_exit = false;
};

// Runs a grid, block by block; `body` is called once in every thread. Ends the
// program with a message where a kernel does what a GPU must not be asked.
EMULATED_HIDDEN void run(const Launch &launch, const std::function<void()> &body);

// Runs `kernel` over a grid.
template <typename... P, typename... A>
void launch(dim3 grid, dim3 block, size_t shared_bytes, void (*kernel)(P...), A... args) {
    static_assert(sizeof...(P) == sizeof...(A), "the kernel takes another number of arguments");
    Launch how;
    how.grid = grid;
    how.block = block;
    how.shared_bytes = shared_bytes;
    run(how, [&] { kernel(static_cast<P>(args)...); });
}

// Prints what went wrong with the kernel, block and thread, and aborts.
[[noreturn]] EMULATED_HIDDEN void fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

EMULATED_HIDDEN void *dynamic_shared();

// Waits for all threads of the block; returns the sum of what they gave.
EMULATED_HIDDEN int barrier(int given);

// What the lanes of a warp gave, `n` words each: lane l's are words[l * n] on.
// Lanes that took no part have all bits set.
struct Gathered {
    const uint32_t *words;
    uint32_t lanes;
};

// Waits until the living lanes in `mask` have called it too, with the same
// mask and n. The result is valid until the lane's next collective operation.
EMULATED_HIDDEN Gathered gather(uint32_t mask, const uint32_t *words, int n);

// The same for the whole warp, where no lane may have ended: 32 * n words.
EMULATED_HIDDEN const uint32_t *exchange(const uint32_t *words, int n);

EMULATED_HIDDEN uint32_t lane();
// The lanes of this warp that have not ended.
EMULATED_HIDDEN uint32_t living();

// Where a static shared array lies, with guard bytes on both sides (build.py
// turns `__shared__` into this); its content is not defined when a block starts.
struct Site {
    uint64_t block = 0;
    unsigned char *begin = nullptr;
    size_t bytes = 0;
};
EMULATED_HIDDEN void enter(Site &site, void *begin, size_t bytes);
extern EMULATED_HIDDEN uint64_t block_serial;

constexpr size_t SHARED_GUARD = 128;

template <typename T> struct Shared {
    alignas(128) unsigned char before[SHARED_GUARD];
    alignas(128) T value;
    unsigned char after[SHARED_GUARD];
    Site site;

    T &here() {
        if (site.block != block_serial) enter(site, &value, sizeof value);
        return value;
    }
};

} // namespace emulated
