// How a kernel that did wrong is reported. Part of emulate.cpp.
#include <csignal>
#include <cstdarg>
#include <unistd.h>

namespace emulated {

void fail(const char *format, ...) {
    if (running)
        fprintf(stderr, "emulated CUDA: %s: block (%u, %u, %u) of (%u, %u, %u) threads",
                running->name, blockIdx.x, blockIdx.y, blockIdx.z, blockDim.x, blockDim.y,
                blockDim.z);
    else
        fprintf(stderr, "emulated CUDA");
    if (self)
        fprintf(stderr, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y, threadIdx.z);
    fprintf(stderr, ": ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    fflush(stderr);
    abort();
}

namespace {

// Says where a kernel was when it touched memory that is not there.
struct sigaction before_us[2];
void on_fault(int signal, siginfo_t *info, void *context) {
    if (self) {
        char line[400];
        int length = snprintf(
            line, sizeof line,
            "emulated CUDA: %s: block (%u, %u, %u), thread (%u, %u, %u): %s at %p\n",
            running->name, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y,
            threadIdx.z, signal == SIGSEGV ? "a bad address" : "an impossible operation",
            info->si_addr);
        if (write(2, line, std::min<size_t>(length, sizeof line - 1)) < 0) _exit(134);
        abort();
    }
    struct sigaction &old = before_us[signal == SIGSEGV ? 0 : 1];
    if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
    sigaction(signal, &old, nullptr);
}

// Faults need a stack of their own: the fiber's may be what ran out.
void watch_faults() {
    static thread_local bool has_stack = false;
    if (!has_stack) {
        stack_t stack = {};
        if (!sigaltstack(nullptr, &stack) && stack.ss_flags & SS_DISABLE) {
            stack.ss_flags = 0;
            stack.ss_size = 64 * 1024;
            stack.ss_sp = malloc(stack.ss_size);
            sigaltstack(&stack, nullptr);
        }
        has_stack = true;
    }
    static bool watching = false;
    if (watching) return;
    watching = true;
    struct sigaction ours = {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &ours, &before_us[0]);
    sigaction(SIGFPE, &ours, &before_us[1]);
}

} // namespace

} // namespace emulated
