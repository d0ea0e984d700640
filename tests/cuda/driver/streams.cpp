// Streams, events, and captures: while a stream captures, work is recorded.
#include "driver.h"

#include <chrono>
#include <map>

namespace driver {

std::recursive_mutex lock;

namespace {

struct Event {
    std::chrono::steady_clock::time_point when;
    bool recorded = false;
    // Where it was recorded last, if that stream was capturing.
    std::shared_ptr<Capture> capture;
    Stream *stream = nullptr;
    uint64_t captured = 0;
    // What was put on streams before it.
    uint64_t after = 0;
};

// The legacy stream and the one of a thread that makes none.
Stream legacy;
thread_local Stream own;
std::vector<std::shared_ptr<Capture>> captures;
thread_local int thread_mode = 0;
uint64_t capture_id = 0;

// Work that nobody has waited for. It runs at once if
// DRAGOMAN_EMULATED_AT_ONCE is set.
std::deque<std::function<Result()>> pending;
uint64_t ran = 0;
bool running = false;
const bool at_once = getenv("DRAGOMAN_EMULATED_AT_ONCE") != nullptr;

enum Mode { GLOBAL_MODE = 0, THREAD_MODE = 1, RELAXED_MODE = 2 };

void leave_capture(Stream *stream) { stream->capture.reset(); }

void forget_capture(const std::shared_ptr<Capture> &capture) {
    capture->ended = true;
    for (auto &[fork, joined] : capture->forks) leave_capture(fork);
    leave_capture(capture->origin);
    std::erase(captures, capture);
}

} // namespace

Stream *stream_of(void *handle) {
    if (!handle || handle == reinterpret_cast<void *>(1)) return &legacy;
    if (handle == reinterpret_cast<void *>(2)) return &own;
    return static_cast<Stream *>(handle);
}

Result break_capture(Capture &capture, Result result) {
    if (!capture.broken)
        complain(result, "the capture of a stream is broken off");
    capture.broken = true;
    return result;
}

Result outside_capture() {
    if (thread_mode == RELAXED_MODE) return SUCCESS;
    for (auto &capture : captures) {
        bool own_thread = capture->thread == std::this_thread::get_id();
        bool forbids = capture->mode == GLOBAL_MODE ||
                       (capture->mode == THREAD_MODE && own_thread);
        if (forbids && (own_thread || thread_mode == GLOBAL_MODE))
            return break_capture(*capture, CAPTURE_UNSUPPORTED);
    }
    return SUCCESS;
}

Result enqueue(Stream *stream, Kind kind, std::function<Result()> run) {
    if (!stream->capture) {
        // Work on the legacy stream would wait for the streams that block it.
        if (stream == &legacy)
            for (auto &capture : captures)
                if (capture->origin->blocking) return break_capture(*capture, CAPTURE_IMPLICIT);
        if (at_once) return run();
        pending.push_back(std::move(run));
        return SUCCESS;
    }
    Capture &capture = *stream->capture;
    if (capture.broken) return CAPTURE_INVALIDATED;
    capture.graph->nodes.push_back({kind, std::move(run)});
    stream->captured++;
    for (auto &[fork, joined] : capture.forks)
        if (fork == stream) joined = false;
    return SUCCESS;
}

uint64_t enqueued() { return ran + pending.size(); }

void run_until(uint64_t piece) {
    // Work that waits for other work would do so for ever on a GPU.
    if (running) emulated::fail("work on a stream waits for the device");
    running = true;
    while (ran < piece && !pending.empty()) {
        auto run = std::move(pending.front());
        pending.pop_front();
        ran++;
        if (Result result = run()) emulated::fail("work on a stream failed (error %d)", result);
    }
    running = false;
}

void run_all() { run_until(enqueued()); }

} // namespace driver

using namespace driver;

EXPORT Result cuStreamCreate(void **stream, unsigned flags) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    auto made = new Stream;
    made->blocking = !(flags & 1);
    *stream = made;
    return SUCCESS;
}
EXPORT Result cuStreamCreateWithPriority(void **stream, unsigned flags, int) {
    return cuStreamCreate(stream, flags);
}
EXPORT Result cuStreamDestroy_v2(void *handle) {
    HOLD;
    Stream *stream = stream_of(handle);
    if (stream == &legacy || stream == &own) return INVALID_HANDLE;
    if (auto capture = stream->capture) {
        if (capture->origin == stream) forget_capture(capture);
        else std::erase_if(capture->forks, [&](auto &fork) { return fork.first == stream; });
    }
    delete stream;
    return SUCCESS;
}
EXPORT Result cuStreamSynchronize(void *handle) {
    HOLD;
    Stream *stream = stream_of(handle);
    if (stream->capture) return break_capture(*stream->capture, CAPTURE_UNSUPPORTED);
    if (Result result = outside_capture()) return result;
    run_all();
    check_guards();
    return SUCCESS;
}
EXPORT Result cuStreamQuery(void *handle) {
    HOLD;
    Stream *stream = stream_of(handle);
    if (stream->capture) return break_capture(*stream->capture, CAPTURE_UNSUPPORTED);
    if (Result result = outside_capture()) return result;
    run_all();
    return SUCCESS;
}
EXPORT Result cuCtxSynchronize() {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    if (Result result = outside_capture()) return result;
    run_all();
    check_guards();
    return SUCCESS;
}
EXPORT Result cuStreamGetPriority(void *, int *priority) {
    *priority = 0;
    return SUCCESS;
}
EXPORT Result cuStreamGetFlags(void *handle, unsigned *flags) {
    HOLD;
    *flags = stream_of(handle)->blocking ? 0 : 1;
    return SUCCESS;
}
EXPORT Result cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return SUCCESS;
}
EXPORT Result cuLaunchHostFunc(void *stream, void (*function)(void *), void *given) {
    HOLD;
    return enqueue(stream_of(stream), HOST, [=]() -> Result {
        function(given);
        return SUCCESS;
    });
}

EXPORT Result cuEventCreate(void **event, unsigned) {
    HOLD;
    if (!has_context()) return INVALID_CONTEXT;
    *event = new Event;
    return SUCCESS;
}
EXPORT Result cuEventDestroy_v2(void *event) {
    HOLD;
    delete static_cast<Event *>(event);
    return SUCCESS;
}
EXPORT Result cuEventRecord(void *handle, void *stream_handle) {
    HOLD;
    auto event = static_cast<Event *>(handle);
    Stream *stream = stream_of(stream_handle);
    if (stream->capture && stream->capture->broken) return CAPTURE_INVALIDATED;
    event->recorded = true;
    event->capture = stream->capture;
    event->stream = stream;
    event->captured = stream->captured;
    event->after = enqueued();
    event->when = std::chrono::steady_clock::now();
    return SUCCESS;
}
EXPORT Result cuEventRecordWithFlags(void *event, void *stream, unsigned) {
    return cuEventRecord(event, stream);
}

// An event of a capture may be waited for by streams alone.
static Result usable(Event *event) {
    if (!event->capture) return SUCCESS;
    return event->capture->ended ? CAPTURED_EVENT
                                 : break_capture(*event->capture, CAPTURED_EVENT);
}

EXPORT Result cuEventQuery(void *event) {
    HOLD;
    if (Result result = usable(static_cast<Event *>(event))) return result;
    if (Result result = outside_capture()) return result;
    run_until(static_cast<Event *>(event)->after);
    return SUCCESS;
}
EXPORT Result cuEventSynchronize(void *event) {
    HOLD;
    if (Result result = usable(static_cast<Event *>(event))) return result;
    if (Result result = outside_capture()) return result;
    run_until(static_cast<Event *>(event)->after);
    check_guards();
    return SUCCESS;
}
EXPORT Result cuEventElapsedTime(float *milliseconds, void *from, void *to) {
    HOLD;
    auto first = static_cast<Event *>(from), last = static_cast<Event *>(to);
    if (Result result = usable(first)) return result;
    if (Result result = usable(last)) return result;
    if (!first->recorded || !last->recorded) return INVALID_HANDLE;
    *milliseconds = std::chrono::duration<float, std::milli>(last->when - first->when).count();
    return SUCCESS;
}
EXPORT Result cuEventElapsedTime_v2(float *milliseconds, void *from, void *to) {
    return cuEventElapsedTime(milliseconds, from, to);
}

EXPORT Result cuStreamWaitEvent(void *handle, void *event_handle, unsigned) {
    HOLD;
    Stream *stream = stream_of(handle);
    auto event = static_cast<Event *>(event_handle);
    if (!event->recorded) return SUCCESS;
    if (stream->capture && stream->capture->broken) return CAPTURE_INVALIDATED;
    if (!event->capture)
        return stream->capture ? break_capture(*stream->capture, CAPTURE_ISOLATION) : SUCCESS;
    if (event->capture->ended)
        return stream->capture ? break_capture(*stream->capture, CAPTURE_ISOLATION)
                               : CAPTURED_EVENT;
    Capture &capture = *event->capture;
    if (stream->capture && stream->capture != event->capture)
        return break_capture(*stream->capture, CAPTURE_MERGE);
    if (!stream->capture) {
        if (stream == &legacy) return break_capture(capture, CAPTURE_IMPLICIT);
        stream->capture = event->capture;
        capture.forks.push_back({stream, false});
        return SUCCESS;
    }
    for (auto &[fork, joined] : capture.forks)
        if (fork == event->stream && event->captured == fork->captured) joined = true;
    return SUCCESS;
}

EXPORT Result cuStreamBeginCapture_v2(void *handle, int mode) {
    HOLD;
    Stream *stream = stream_of(handle);
    if (stream == &legacy) return CAPTURE_UNSUPPORTED;
    if (stream->capture) return ILLEGAL_STATE;
    if (mode < GLOBAL_MODE || mode > RELAXED_MODE) return INVALID_VALUE;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->id = ++capture_id;
    captures.push_back(stream->capture);
    return SUCCESS;
}
EXPORT Result cuStreamEndCapture(void *handle, void **graph) {
    HOLD;
    *graph = nullptr;
    Stream *stream = stream_of(handle);
    auto capture = stream->capture;
    if (!capture) return ILLEGAL_STATE;
    if (capture->origin != stream) return break_capture(*capture, CAPTURE_UNMATCHED);
    if (capture->mode != RELAXED_MODE && capture->thread != std::this_thread::get_id())
        return CAPTURE_WRONG_THREAD;
    bool joined = true;
    for (auto &fork : capture->forks) joined &= fork.second;
    forget_capture(capture);
    if (capture->broken) return CAPTURE_INVALIDATED;
    if (!joined) return CAPTURE_UNJOINED;
    *graph = new std::shared_ptr<Graph>(capture->graph);
    return SUCCESS;
}
EXPORT Result cuStreamIsCapturing(void *handle, int *status) {
    HOLD;
    Stream *stream = stream_of(handle);
    *status = !stream->capture ? 0 : stream->capture->broken ? 2 : 1;
    return SUCCESS;
}
EXPORT Result cuStreamGetCaptureInfo_v2(void *handle, int *status, uint64_t *id, void **graph,
                                        void ***dependencies, size_t *count) {
    HOLD;
    cuStreamIsCapturing(handle, status);
    Stream *stream = stream_of(handle);
    if (id && stream->capture) *id = stream->capture->id;
    if (graph) *graph = nullptr;
    if (dependencies) *dependencies = nullptr;
    if (count) *count = 0;
    return SUCCESS;
}
EXPORT Result cuStreamGetCaptureInfo_v3(void *handle, int *status, uint64_t *id, void **graph,
                                        void ***dependencies, void **edges, size_t *count) {
    if (edges) *edges = nullptr;
    return cuStreamGetCaptureInfo_v2(handle, status, id, graph, dependencies, count);
}
EXPORT Result cuThreadExchangeStreamCaptureMode(int *mode) {
    HOLD;
    std::swap(*mode, thread_mode);
    return SUCCESS;
}
