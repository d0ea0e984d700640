// Graphs: what a capture recorded, run again in its order.
#include "driver.h"

namespace driver {

namespace {

constexpr uint64_t FREE_ON_LAUNCH = 1, DEVICE_LAUNCH = 4, KNOWN_FLAGS = 15;

struct Executable {
    std::shared_ptr<Graph> graph;
    bool free_on_launch;
    ~Executable() { graph->executables--; }
};

Result run(Graph &graph, bool free_on_launch) {
    for (void *at : graph.allocations) {
        if (!is_live(at)) continue;
        if (!free_on_launch)
            return complain(INVALID_VALUE,
                            "a graph is launched again, but %p of its last launch lives", at);
        if (Result result = release(at)) return result;
    }
    for (Node &node : graph.nodes)
        if (Result result = node.run()) return result;
    return SUCCESS;
}

} // namespace

Graph::~Graph() {
    for (void *at : allocations) forget(at);
}

} // namespace driver

using namespace driver;

// A handle of a graph is a pointer to this.
typedef std::shared_ptr<Graph> Handle;

EXPORT Result cuGraphCreate(void **graph, unsigned) {
    HOLD;
    *graph = new Handle(std::make_shared<Graph>());
    return SUCCESS;
}
EXPORT Result cuGraphDestroy(void *graph) {
    HOLD;
    delete static_cast<Handle *>(graph);
    return SUCCESS;
}
EXPORT Result cuGraphInstantiateWithFlags(void **executable, void *handle,
                                          unsigned long long flags) {
    HOLD;
    *executable = nullptr;
    Handle graph = *static_cast<Handle *>(handle);
    if (flags & ~KNOWN_FLAGS || (flags & FREE_ON_LAUNCH && flags & DEVICE_LAUNCH))
        return INVALID_VALUE;
    if (!graph->allocations.empty() && graph->executables)
        return complain(NOT_SUPPORTED, "a graph that allocates can be instantiated once");
    graph->executables++;
    *executable = new Executable{graph, (flags & FREE_ON_LAUNCH) != 0};
    return SUCCESS;
}
EXPORT Result cuGraphExecDestroy(void *executable) {
    HOLD;
    delete static_cast<Executable *>(executable);
    return SUCCESS;
}
EXPORT Result cuGraphUpload(void *, void *) { return SUCCESS; }
EXPORT Result cuGraphLaunch(void *handle, void *stream) {
    HOLD;
    auto executable = static_cast<Executable *>(handle);
    Handle graph = executable->graph;
    bool free_on_launch = executable->free_on_launch;
    return enqueue(stream_of(stream), GRAPH, [=] { return run(*graph, free_on_launch); });
}
EXPORT Result cuGraphGetNodes(void *handle, void **nodes, size_t *count) {
    HOLD;
    Graph &graph = **static_cast<Handle *>(handle);
    for (size_t i = 0; nodes && i < *count; i++)
        nodes[i] = i < graph.nodes.size() ? &graph.nodes[i] : nullptr;
    if (!nodes || *count > graph.nodes.size()) *count = graph.nodes.size();
    return SUCCESS;
}
EXPORT Result cuGraphNodeGetType(void *node, int *type) {
    HOLD;
    *type = static_cast<Node *>(node)->kind;
    return SUCCESS;
}
