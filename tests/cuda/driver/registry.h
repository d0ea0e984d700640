// The kernels that the driver knows, by name. build.py ends every file of
// kernels with a `Registered` for each.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace emulated {

struct Parameter {
    size_t bytes;
    bool is_pointer;
};

struct Kernel {
    std::string name;
    std::vector<Parameter> parameters;
    // Calls the kernel in one thread; arguments as cuLaunchKernel takes them.
    void (*call)(const void *kernel, void *const *arguments);
    const void *kernel;
    // See Launch::early_exit.
    bool early_exit;
    // What cuFuncSetAttribute allows of dynamic shared memory, in bytes.
    size_t dynamic_limit = 48 * 1024;
};

EMULATED_HIDDEN void add_kernel(Kernel kernel);

struct Registered {
    template <typename... P>
    Registered(const char *name, void (*kernel)(P...), bool early_exit) {
        add_kernel({name,
                    {Parameter{sizeof(P), std::is_pointer_v<P>}...},
                    call<P...>,
                    reinterpret_cast<const void *>(kernel),
                    early_exit});
    }

    template <typename... P> static void call(const void *kernel, void *const *arguments) {
        auto typed = reinterpret_cast<void (*)(P...)>(const_cast<void *>(kernel));
        call_each<P...>(typed, arguments, std::index_sequence_for<P...>());
    }
    template <typename... P, size_t... I>
    static void call_each(void (*kernel)(P...), [[maybe_unused]] void *const *arguments,
                          std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_cv_t<P> *>(arguments[I])...);
    }
};

} // namespace emulated
