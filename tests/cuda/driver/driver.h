// What the parts of the driver share. Handles of CUDA's API are pointers to
// these types; every call holds `lock`. Work that is put on a stream runs when
// somebody waits for it, and is recorded while the stream captures.
#pragma once

#include "../emulate.cuh"

#include "registry.h"

#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

namespace driver {

// CUresult; the same numbers as in CUDA.
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    ILLEGAL_STATE = 401,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_MERGE = 902,
    CAPTURE_UNMATCHED = 903,
    CAPTURE_UNJOINED = 904,
    CAPTURE_ISOLATION = 905,
    CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907,
    CAPTURE_WRONG_THREAD = 908,
};

extern EMULATED_HIDDEN std::recursive_mutex lock;
#define HOLD std::lock_guard<std::recursive_mutex> held(driver::lock)
#define EXPORT extern "C" __attribute__((visibility("default")))

// CUgraphNodeType.
enum Kind { KERNEL = 0, COPY = 1, SET = 2, HOST = 3, GRAPH = 4, WAIT = 6, RECORD = 7,
            ALLOCATE = 10, FREE = 11 };

struct Node {
    Kind kind;
    std::function<Result()> run;
};

struct Graph {
    std::deque<Node> nodes;
    // The addresses that its allocations have at every launch.
    std::vector<void *> allocations;
    int executables = 0;
    ~Graph();
};

struct Stream;

struct Capture {
    std::shared_ptr<Graph> graph = std::make_shared<Graph>();
    Stream *origin;
    int mode;
    std::thread::id thread;
    uint64_t id;
    bool broken = false, ended = false;
    // The other streams in it, and whether one before them waits for their end.
    std::vector<std::pair<Stream *, bool>> forks;
};

struct Stream {
    bool blocking = true;
    std::shared_ptr<Capture> capture;
    uint64_t captured = 0;
};

// Puts work on a stream, behind all that was put on any, or records it while the
// stream captures.
EMULATED_HIDDEN Result enqueue(Stream *stream, Kind kind, std::function<Result()> run);
// How much was put on streams so far.
EMULATED_HIDDEN uint64_t enqueued();
// Runs the first so many pieces of it that have not run; work that fails then
// ends the process, since nobody would look at its result.
EMULATED_HIDDEN void run_until(uint64_t piece);
EMULATED_HIDDEN void run_all();
EMULATED_HIDDEN Stream *stream_of(void *handle);
// For calls that may wait for the device: an error, and the end of the capture,
// where one is under way that does not allow them.
EMULATED_HIDDEN Result outside_capture();
EMULATED_HIDDEN Result break_capture(Capture &capture, Result result);

// Whether the thread has a context; most calls need one.
EMULATED_HIDDEN bool has_context();

EMULATED_HIDDEN void *allocate(size_t bytes, Graph *graph);
EMULATED_HIDDEN void fill(void *at);
EMULATED_HIDDEN Result release(void *at);
EMULATED_HIDDEN void forget(void *at);
// Whether the whole range lies in memory that is allocated now. Of no bytes
// the end of an allocation is one too.
EMULATED_HIDDEN bool on_device(const void *at, size_t bytes);
EMULATED_HIDDEN bool is_live(const void *at);
EMULATED_HIDDEN Graph *graph_of(const void *at);
EMULATED_HIDDEN void check_guards();
EMULATED_HIDDEN Result complain(Result result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

constexpr size_t TOTAL_MEMORY = size_t(80) << 30;

} // namespace driver
