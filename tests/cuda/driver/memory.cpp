// Device memory is host memory, with guards around each allocation. What is
// fresh or freed has all bits set, which reads as NaN.
#include "driver.h"

#include <cstdarg>
#include <map>

namespace driver {

namespace {

constexpr size_t GUARD = 512;
constexpr unsigned char UNSET = 0xff;
// Freed memory is kept for a while, to see what writes to it.
constexpr size_t MOST_KEPT = size_t(256) << 20;

struct Allocation {
    size_t bytes;
    bool live;
    Graph *graph;
};
std::map<unsigned char *, Allocation> allocations;
std::deque<std::pair<unsigned char *, size_t>> kept;
size_t kept_bytes = 0, live_bytes = 0;

bool only_unset(const unsigned char *at, size_t bytes) {
    size_t whole = bytes / 8 * 8;
    uint64_t all = ~uint64_t(0), word;
    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, at + i, 8);
        all &= word;
    }
    for (size_t i = whole; i < bytes; i++) all &= at[i] | ~uint64_t(0xff);
    return all == ~uint64_t(0);
}

void check(unsigned char *at, const Allocation &allocation) {
    if (!only_unset(at - GUARD, GUARD))
        emulated::fail("a write before device memory %p of %zu bytes", static_cast<void *>(at),
                       allocation.bytes);
    if (!only_unset(at + allocation.bytes, GUARD))
        emulated::fail("a write past the end of device memory %p of %zu bytes",
                       static_cast<void *>(at), allocation.bytes);
}

void let_go(unsigned char *at, size_t bytes) {
    if (!only_unset(at - GUARD, bytes + 2 * GUARD))
        emulated::fail("a write to device memory %p of %zu bytes after it was freed",
                       static_cast<void *>(at), bytes);
    free(at - GUARD);
}

// The allocation that `at` lies in or at the end of.
std::map<unsigned char *, Allocation>::iterator find(const void *at) {
    auto byte = static_cast<unsigned char *>(const_cast<void *>(at));
    auto found = allocations.upper_bound(byte);
    if (found == allocations.begin()) return allocations.end();
    --found;
    return byte <= found->first + found->second.bytes ? found : allocations.end();
}

} // namespace

Result complain(Result result, const char *format, ...) {
    fprintf(stderr, "emulated CUDA: ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (error %d)\n", result);
    return result;
}

void *allocate(size_t bytes, Graph *graph) {
    size_t whole = (GUARD + bytes + GUARD + 511) / 512 * 512;
    if (live_bytes + bytes > TOTAL_MEMORY) return nullptr;
    auto begin = static_cast<unsigned char *>(aligned_alloc(512, whole));
    if (!begin) return nullptr;
    memset(begin, UNSET, whole);
    allocations[begin + GUARD] = {bytes, graph == nullptr, graph};
    if (!graph) live_bytes += bytes;
    return begin + GUARD;
}

void fill(void *at) {
    auto found = allocations.find(static_cast<unsigned char *>(at));
    found->second.live = true;
    live_bytes += found->second.bytes;
}

Result release(void *at) {
    if (!at) return SUCCESS;
    auto found = allocations.find(static_cast<unsigned char *>(at));
    if (found == allocations.end() || !found->second.live)
        return complain(INVALID_VALUE, "%p is freed, but not allocated", at);
    Allocation allocation = found->second;
    check(found->first, allocation);
    memset(at, UNSET, allocation.bytes);
    live_bytes -= allocation.bytes;
    if (allocation.graph) {
        found->second.live = false;
        return SUCCESS;
    }
    allocations.erase(found);
    kept.push_back({static_cast<unsigned char *>(at), allocation.bytes});
    kept_bytes += allocation.bytes + 2 * GUARD;
    while (kept_bytes > MOST_KEPT) {
        auto [oldest, bytes] = kept.front();
        kept.pop_front();
        kept_bytes -= bytes + 2 * GUARD;
        let_go(oldest, bytes);
    }
    return SUCCESS;
}

// Gives up an address of a graph that is destroyed.
void forget(void *at) {
    auto found = allocations.find(static_cast<unsigned char *>(at));
    if (found == allocations.end()) return;
    found->second.graph = nullptr;
    if (found->second.live) return;
    fill(at);
    release(at);
}

bool on_device(const void *at, size_t bytes) {
    if (!bytes) return true;
    auto found = find(at);
    if (found == allocations.end() || !found->second.live) return false;
    return static_cast<const unsigned char *>(at) + bytes <= found->first + found->second.bytes;
}

bool is_live(const void *at) {
    auto found = find(at);
    return found != allocations.end() && found->second.live;
}

Graph *graph_of(const void *at) {
    auto found = allocations.find(static_cast<unsigned char *>(const_cast<void *>(at)));
    return found == allocations.end() ? nullptr : found->second.graph;
}

void check_guards() {
    for (const auto &[at, allocation] : allocations) check(at, allocation);
}

namespace {

// Page-locked memory of the host: a copy reads and writes it when its turn comes.
std::map<const unsigned char *, size_t> locked;

bool is_locked(const void *at, size_t bytes) {
    auto byte = static_cast<const unsigned char *>(at);
    auto found = locked.upper_bound(byte);
    if (found == locked.begin()) return false;
    --found;
    return byte + bytes <= found->first + found->second;
}

Result copy(Stream *stream, void *to, const void *from, size_t bytes, bool to_device,
            bool from_device) {
    if (!bytes) return SUCCESS;
    // Other memory is read before the call returns, and written then, too.
    std::shared_ptr<std::vector<unsigned char>> staged;
    if (!stream->capture && !from_device && !is_locked(from, bytes)) {
        auto first = static_cast<const unsigned char *>(from);
        staged = std::make_shared<std::vector<unsigned char>>(first, first + bytes);
        from = staged->data();
    }
    Result put = enqueue(stream, COPY, [=]() -> Result {
        [[maybe_unused]] auto held = staged;
        if (to_device && !on_device(to, bytes))
            return complain(INVALID_VALUE, "a copy of %zu bytes to %p outside device memory",
                            bytes, to);
        if (from_device && !on_device(from, bytes))
            return complain(INVALID_VALUE, "a copy of %zu bytes from %p outside device memory",
                            bytes, from);
        memmove(to, from, bytes);
        return SUCCESS;
    });
    if (!put && !stream->capture && !to_device && !is_locked(to, bytes)) run_all();
    return put;
}

// Copies that return when they are done.
Result copy_now(void *to, const void *from, size_t bytes, bool to_device, bool from_device) {
    if (Result result = outside_capture()) return result;
    Result result = copy(stream_of(nullptr), to, from, bytes, to_device, from_device);
    run_all();
    check_guards();
    return result;
}

template <typename T> Result set(Stream *stream, void *at, T value, size_t n) {
    if (!n) return SUCCESS;
    return enqueue(stream, SET, [=]() -> Result {
        if (!on_device(at, n * sizeof(T)))
            return complain(INVALID_VALUE, "%zu bytes at %p to set, outside device memory",
                            n * sizeof(T), at);
        for (size_t i = 0; i < n; i++) static_cast<T *>(at)[i] = value;
        return SUCCESS;
    });
}

} // namespace

} // namespace driver

using namespace driver;

EXPORT Result cuMemAlloc_v2(void **at, size_t bytes) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    if (Result result = outside_capture()) return result;
    if (!bytes) return INVALID_VALUE;
    *at = allocate(bytes, nullptr);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}

EXPORT Result cuMemFree_v2(void *at) {
    HOLD;
    if (Result result = outside_capture()) return result;
    run_all();
    return release(at);
}

EXPORT Result cuMemAllocAsync(void **at, size_t bytes, void *handle) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    Stream *stream = stream_of(handle);
    *at = nullptr;
    if (!stream->capture) {
        if (!bytes) return SUCCESS;
        *at = allocate(bytes, nullptr);
        return *at ? SUCCESS : OUT_OF_MEMORY;
    }
    Graph *graph = stream->capture->graph.get();
    if (!bytes) return SUCCESS;
    void *address = allocate(bytes, graph);
    if (!address) return OUT_OF_MEMORY;
    graph->allocations.push_back(address);
    *at = address;
    return enqueue(stream, ALLOCATE, [address]() -> Result {
        fill(address);
        return SUCCESS;
    });
}

EXPORT Result cuMemAllocFromPoolAsync(void **at, size_t bytes, void *, void *stream) {
    return cuMemAllocAsync(at, bytes, stream);
}

EXPORT Result cuMemFreeAsync(void *at, void *handle) {
    HOLD;
    if (!at) return SUCCESS;
    Stream *stream = stream_of(handle);
    if (!stream->capture) return enqueue(stream, FREE, [at] { return release(at); });
    // A capture may free what a graph allocated, nothing else.
    if (!graph_of(at))
        return break_capture(
            *stream->capture,
            complain(INVALID_VALUE, "a capture frees %p, allocated outside of graphs", at));
    return enqueue(stream, FREE, [at] { return release(at); });
}

EXPORT Result cuMemHostAlloc(void **at, size_t bytes, unsigned) {
    HOLD;
    if (Result result = outside_capture()) return result;
    *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
    if (!*at) return OUT_OF_MEMORY;
    locked[static_cast<unsigned char *>(*at)] = bytes;
    return SUCCESS;
}
EXPORT Result cuMemAllocHost_v2(void **at, size_t bytes) {
    return cuMemHostAlloc(at, bytes, 0);
}
EXPORT Result cuMemFreeHost(void *at) {
    HOLD;
    if (Result result = outside_capture()) return result;
    run_all();
    locked.erase(static_cast<unsigned char *>(at));
    free(at);
    return SUCCESS;
}
EXPORT Result cuMemHostRegister_v2(void *, size_t, unsigned) { return SUCCESS; }
EXPORT Result cuMemHostUnregister(void *) { return SUCCESS; }

EXPORT Result cuMemGetInfo_v2(size_t *free, size_t *total) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    *free = TOTAL_MEMORY - live_bytes;
    *total = TOTAL_MEMORY;
    return SUCCESS;
}

EXPORT Result cuMemcpyHtoD_v2(void *to, const void *from, size_t bytes) {
    HOLD;
    return copy_now(to, from, bytes, true, false);
}
EXPORT Result cuMemcpyDtoH_v2(void *to, const void *from, size_t bytes) {
    HOLD;
    return copy_now(to, from, bytes, false, true);
}
EXPORT Result cuMemcpyDtoD_v2(void *to, const void *from, size_t bytes) {
    HOLD;
    return copy_now(to, from, bytes, true, true);
}
EXPORT Result cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, void *stream) {
    HOLD;
    return copy(stream_of(stream), to, from, bytes, true, false);
}
EXPORT Result cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes, void *stream) {
    HOLD;
    return copy(stream_of(stream), to, from, bytes, false, true);
}
EXPORT Result cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t bytes, void *stream) {
    HOLD;
    return copy(stream_of(stream), to, from, bytes, true, true);
}
EXPORT Result cuMemcpyPeerAsync(void *to, void *, const void *from, void *, size_t bytes,
                                void *stream) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}
EXPORT Result cuMemcpyAsync(void *to, const void *from, size_t bytes, void *stream) {
    HOLD;
    return copy(stream_of(stream), to, from, bytes, is_live(to), is_live(from));
}

#define SETS(name, T)                                                                      \
    EXPORT Result name##Async(void *at, T value, size_t n, void *stream) {                 \
        HOLD;                                                                              \
        return set<T>(stream_of(stream), at, value, n);                                    \
    }                                                                                      \
    EXPORT Result name##_v2(void *at, T value, size_t n) {                                 \
        HOLD;                                                                              \
        if (Result result = outside_capture()) return result;                              \
        Result put = set<T>(stream_of(nullptr), at, value, n);                             \
        run_all();                                                                         \
        return put;                                                                        \
    }
SETS(cuMemsetD8, unsigned char)
SETS(cuMemsetD16, unsigned short)
SETS(cuMemsetD32, unsigned)
