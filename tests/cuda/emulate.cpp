// Runs the threads of a block as fibers. A fiber that has to wait picks the
// next one that can run and switches to it; no system call is involved.
#include "emulate.cuh"

#include <algorithm>
#include <mutex>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

// Saves what a call must preserve on this stack and goes on with the other.
extern "C" EMULATED_HIDDEN void emulated_switch(void **save, void *to);
asm(R"(
.text
.hidden emulated_switch
.globl emulated_switch
.type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulated_switch, .-emulated_switch
)");

namespace emulated {

uint64_t block_serial = 0;

namespace {

constexpr int WARP = 32, MOST_THREADS = 1024;
constexpr size_t STACK = 256 * 1024, PAGE = 4096;

enum State { NEW, READY, RUNNING, AT_BARRIER, IN_WARP, ENDED };

// What a warp's lanes gave at one collective operation.
struct Words {
    std::vector<uint32_t> words;
    uint32_t lanes = 0;
    int users = 0;
};

struct Thread {
    State state;
    void *resume;
    char *stack;
    uint3 index;
    uint32_t id, barriers;
    uint32_t mask;
    const uint32_t *given;
    int n;
    Words *held;
};

Thread threads[MOST_THREADS];
Thread *self;
uint32_t count, alive, at_barrier;
int given_sum, barrier_result[2];
uint32_t barriers_passed;
uint32_t alive_in_warp[WARP], waiting_in_warp[WARP];

// Those that can run, in a ring; every thread stands in it at most once.
uint16_t ring[2 * MOST_THREADS];
uint32_t ring_first, ring_size;

std::vector<char *> free_stacks;
std::vector<Words *> free_words;
void *main_context;
const Launch *running;
const std::function<void()> *kernel_body;
std::mutex one_launch;

} // namespace

} // namespace emulated

#include "emulated/faults.inl"

#include "emulated/shared.inl"

namespace emulated {

namespace {

enum Order { FORWARD, REVERSE, SHUFFLED } order;
std::minstd_rand shuffler;

void read_order() {
    const char *wanted = getenv("DRAGOMAN_EMULATED_ORDER");
    order = FORWARD;
    if (!wanted || !*wanted || !strcmp(wanted, "forward")) return;
    if (!strcmp(wanted, "reverse")) {
        order = REVERSE;
    } else {
        order = SHUFFLED;
        shuffler.seed(strtoul(wanted, nullptr, 10) + 1);
    }
}

void push(Thread *thread, bool front) {
    constexpr uint32_t wrap = 2 * MOST_THREADS - 1;
    if (front) ring[--ring_first & wrap] = thread->id;
    else ring[(ring_first + ring_size) & wrap] = thread->id;
    ring_size++;
}

Thread *pop() {
    if (!ring_size) return nullptr;
    ring_size--;
    return &threads[ring[ring_first++ & (2 * MOST_THREADS - 1)]];
}

// Makes threads run on: those of a warp before others, so that the cache holds.
void release(Thread **list, int n, bool front) {
    if (order == SHUFFLED) std::shuffle(list, list + n, shuffler);
    bool backward = (order == REVERSE) != front;
    for (int i = 0; i < n; i++) {
        Thread *thread = list[backward ? n - 1 - i : i];
        if (thread->state != NEW) thread->state = READY;
        push(thread, order == SHUFFLED ? front && shuffler() & 1 : front);
    }
}

char *new_stack() {
    if (!free_stacks.empty()) {
        char *stack = free_stacks.back();
        free_stacks.pop_back();
        return stack;
    }
    void *at = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) fail("no memory for a thread's stack");
    mprotect(at, PAGE, PROT_NONE);
    return static_cast<char *>(at);
}

[[noreturn]] void stuck() {
    std::string where;
    for (uint32_t i = 0; i < count; i++) {
        Thread &thread = threads[i];
        if (where.size() > 400) break;
        char line[80];
        if (thread.state == AT_BARRIER) continue;
        snprintf(line, sizeof line, " %u %s", i,
                 thread.state == ENDED ? "ended" : "waits for lanes");
        where += line;
        if (thread.state == IN_WARP) {
            snprintf(line, sizeof line, " %08x", thread.mask);
            where += line;
        }
        where += ";";
    }
    fail("threads wait for each other for ever: %u at a barrier, not there:%s", at_barrier,
         where.c_str());
}

void body();

// Leaves this fiber for the next that can run; returns when it runs again.
void leave(void **save) {
    Thread *next = pop();
    if (!next) {
        if (alive) stuck();
        emulated_switch(save, main_context);
        return;
    }
    State was = next->state;
    self = next;
    next->state = RUNNING;
    threadIdx = next->index;
    if (was == NEW) {
        next->stack = new_stack();
        // Stacks start at different places in their pages, for the cache.
        void **top = reinterpret_cast<void **>(next->stack + PAGE + STACK -
                                               (next->id % 61 + 1) * 64);
        *--top = nullptr;
        *--top = reinterpret_cast<void *>(body);
        top -= 6;
        memset(top, 0, 6 * sizeof *top);
        next->resume = top;
    }
    emulated_switch(save, next->resume);
}

uint32_t warp_of(const Thread *thread) { return thread->id / WARP; }

void wait(State state) {
    Thread *me = self;
    me->state = state;
    if (state == IN_WARP) waiting_in_warp[warp_of(me)]++;
    leave(&me->resume);
}

void drop(Thread *thread) {
    if (Words *words = thread->held) {
        thread->held = nullptr;
        if (!--words->users) free_words.push_back(words);
    }
}

// Completes the collective that `thread` waits in, if all its lanes are there.
// `me` goes on by itself, the others are released.
bool complete(Thread *thread, Thread *me) {
    Thread *first = &threads[warp_of(thread) * WARP];
    uint32_t lanes = thread->mask & alive_in_warp[warp_of(thread)];
    uint32_t &waiting = waiting_in_warp[warp_of(thread)];
    if (waiting + (me ? 1 : 0) < uint32_t(__builtin_popcount(lanes))) return false;
    for (int lane = 0; lane < WARP; lane++) {
        if (!(lanes >> lane & 1)) continue;
        Thread &other = first[lane];
        if (other.state != IN_WARP && &other != me) return false;
        if (other.mask != thread->mask || other.n != thread->n) return false;
    }
    Words *words;
    if (free_words.empty()) {
        words = new Words;
    } else {
        words = free_words.back();
        free_words.pop_back();
    }
    size_t n = thread->n;
    words->words.assign(WARP * n, 0xffffffffu);
    words->lanes = lanes;
    words->users = 0;
    Thread *others[WARP];
    int released = 0;
    for (int lane = 0; lane < WARP; lane++) {
        if (!(lanes >> lane & 1)) continue;
        Thread &other = first[lane];
        memcpy(&words->words[lane * n], other.given, n * sizeof(uint32_t));
        other.held = words;
        words->users++;
        if (&other != me) others[released++] = &other;
    }
    waiting -= released;
    release(others, released, true);
    return true;
}

void release_barrier(Thread *me) {
    barrier_result[barriers_passed++ & 1] = given_sum;
    given_sum = 0;
    at_barrier = 0;
    Thread *others[MOST_THREADS];
    int released = 0;
    for (uint32_t i = 0; i < count; i++)
        if (threads[i].state == AT_BARRIER && &threads[i] != me)
            others[released++] = &threads[i];
    release(others, released, false);
}

// Takes the thread out of what others wait for.
void end(Thread *me) {
    drop(me);
    me->state = ENDED;
    alive--;
    alive_in_warp[warp_of(me)] &= ~(1u << me->id % WARP);
    if (at_barrier && !running->early_exit)
        fail("thread %u ends while %u threads wait at a barrier", me->id, at_barrier);
    if (me->barriers != barriers_passed && !running->early_exit)
        fail("thread %u passed %u barriers, others %u", me->id, me->barriers, barriers_passed);
    if (at_barrier && at_barrier == alive) release_barrier(me);
    Thread *first = &threads[warp_of(me) * WARP];
    for (int lane = 0; lane < WARP && waiting_in_warp[warp_of(me)]; lane++)
        if (first[lane].state == IN_WARP && alive_in_warp[warp_of(me)] >> lane & 1)
            complete(&first[lane], nullptr);
}

// A fiber runs one thread after another for as long as new ones are next.
void body() {
    for (;;) {
        (*kernel_body)();
        Thread *me = self;
        end(me);
        char *stack = me->stack;
        uint32_t next = ring[ring_first & (2 * MOST_THREADS - 1)];
        if (ring_size && threads[next].state == NEW) {
            self = pop();
            self->stack = stack;
            self->state = RUNNING;
            threadIdx = self->index;
            continue;
        }
        free_stacks.push_back(stack);
        void *never;
        leave(&never);
    }
}

void run_block(size_t shared_bytes) {
    block_serial++;
    sites.clear();
    if (shared_area_bytes) memset(shared_area, CANARY, shared_area_bytes);
    memset(shared_begin(shared_bytes), UNSET, shared_bytes);
    alive = count;
    at_barrier = barriers_passed = 0;
    given_sum = 0;
    ring_first = ring_size = 0;
    Thread *all[MOST_THREADS];
    for (uint32_t i = 0; i < count; i++) {
        Thread &thread = threads[i];
        thread.state = NEW;
        thread.barriers = 0;
        thread.held = nullptr;
        all[i] = &thread;
    }
    for (uint32_t warp = 0; warp * WARP < count; warp++) {
        uint32_t lanes = std::min<uint32_t>(WARP, count - warp * WARP);
        alive_in_warp[warp] = lanes == WARP ? 0xffffffffu : (1u << lanes) - 1;
        waiting_in_warp[warp] = 0;
    }
    release(all, int(count), false);
    leave(&main_context);
    self = nullptr;
    check_shared(shared_bytes);
}

} // namespace

int barrier(int given) {
    Thread *me = self;
    if (alive != count && !running->early_exit)
        fail("a barrier that %u threads no longer reach", count - alive);
    me->barriers++;
    given_sum += given;
    uint32_t round = barriers_passed & 1;
    if (++at_barrier == alive) release_barrier(me);
    else wait(AT_BARRIER);
    return barrier_result[round];
}

Gathered gather(uint32_t mask, const uint32_t *words, int n) {
    Thread *me = self;
    drop(me);
    if (!(mask >> me->id % WARP & 1))
        fail("a lane asks for a mask %08x that leaves it out", mask);
    me->mask = mask;
    me->given = words;
    me->n = n;
    if (!complete(me, me)) wait(IN_WARP);
    return {me->held->words.data(), me->held->lanes};
}

const uint32_t *exchange(const uint32_t *words, int n) {
    Gathered all = gather(0xffffffffu, words, n);
    if (all.lanes != 0xffffffffu) fail("lanes %08x alone take part in an exchange", all.lanes);
    return all.words;
}

uint32_t lane() { return self->id % WARP; }
uint32_t living() { return alive_in_warp[warp_of(self)]; }

void run(const Launch &launch, const std::function<void()> &body) {
    std::lock_guard<std::mutex> lock(one_launch);
    running = &launch;
    kernel_body = &body;
    gridDim = launch.grid;
    blockDim = launch.block;
    uint64_t size = uint64_t(blockDim.x) * blockDim.y * blockDim.z;
    if (!size || size > MOST_THREADS) fail("a block of %lu threads", (unsigned long)(size));
    if (!gridDim.x || !gridDim.y || !gridDim.z || gridDim.y > 65535 || gridDim.z > 65535)
        fail("a grid of (%u, %u, %u) blocks", gridDim.x, gridDim.y, gridDim.z);
    if (launch.shared_bytes > launch.shared_limit)
        fail("%zu bytes of shared memory, allowed are %zu", launch.shared_bytes,
             launch.shared_limit);
    read_order();
    watch_faults();
    count = uint32_t(size);
    for (uint32_t i = 0; i < count; i++) {
        threads[i].id = i;
        threads[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y,
                            i / (blockDim.x * blockDim.y)};
    }
    make_shared_area(launch.shared_bytes);
    for (uint32_t z = 0; z < gridDim.z; z++)
        for (uint32_t y = 0; y < gridDim.y; y++)
            for (uint32_t x = 0; x < gridDim.x; x++) {
                blockIdx = {x, y, z};
                run_block(launch.shared_bytes);
            }
    running = nullptr;
}

} // namespace emulated
