// libcublasLt: products of matrices on the CPU, by algorithms that give the same.
#include "product.h"

namespace {

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};
struct Description {
    int compute, scale;
    int a_turned = 0, b_turned = 0;
};
struct Preference {
    uint64_t room = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};
};
// cublasLtMatmulAlgo_t and cublasLtMatmulHeuristicResult_t.
struct Algorithm {
    uint64_t number, room, alignment, rest[5];
};
struct Heuristic {
    Algorithm algorithm;
    size_t room;
    int state;
    float waves;
    int reserved[4];
};

// One that may be taken, one that fails when it runs, one that the library says
// not to take, and another that may be taken.
enum { GOOD = 11, FAILS = 12, UNFIT = 13, OTHER = 14 };
enum { TRANSA = 3, TRANSB = 4 };
enum { ROOM = 1, ALIGNMENT_A = 5, ALIGNMENT_D = 8 };

bool fits(const Description &d, const Layout &a, const Layout &b, const Layout &c) {
    uint64_t m = d.a_turned ? a.columns : a.rows, k = d.a_turned ? a.rows : a.columns;
    uint64_t n = d.b_turned ? b.rows : b.columns, inner = d.b_turned ? b.columns : b.rows;
    return k == inner && c.rows == m && c.columns == n && a.type == b.type;
}

} // namespace

EXPORT Status cublasLtCreate(void **handle) {
    *handle = new char;
    return SUCCESS;
}
EXPORT Status cublasLtDestroy(void *handle) {
    delete static_cast<char *>(handle);
    return SUCCESS;
}
EXPORT Status cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows,
                                         uint64_t columns, int64_t leading) {
    *layout = new Layout{type, rows, columns, leading};
    return SUCCESS;
}
EXPORT Status cublasLtMatrixLayoutDestroy(Layout *layout) {
    delete layout;
    return SUCCESS;
}
EXPORT Status cublasLtMatmulDescCreate(Description **description, int compute, int scale) {
    *description = new Description{compute, scale};
    return SUCCESS;
}
EXPORT Status cublasLtMatmulDescDestroy(Description *description) {
    delete description;
    return SUCCESS;
}
EXPORT Status cublasLtMatmulDescSetAttribute(Description *description, int attribute,
                                             const void *value, size_t bytes) {
    if (bytes != 4) return INVALID_VALUE;
    int given = *static_cast<const int *>(value);
    if (attribute == TRANSA) description->a_turned = given;
    else if (attribute == TRANSB) description->b_turned = given;
    else return NOT_SUPPORTED;
    return SUCCESS;
}
EXPORT Status cublasLtMatmulPreferenceCreate(Preference **preference) {
    *preference = new Preference;
    return SUCCESS;
}
EXPORT Status cublasLtMatmulPreferenceDestroy(Preference *preference) {
    delete preference;
    return SUCCESS;
}
EXPORT Status cublasLtMatmulPreferenceSetAttribute(Preference *preference, int attribute,
                                                   const void *value, size_t bytes) {
    if (attribute == ROOM && bytes == 8) {
        preference->room = *static_cast<const uint64_t *>(value);
    } else if (attribute >= ALIGNMENT_A && attribute <= ALIGNMENT_D && bytes == 4) {
        uint32_t alignment = *static_cast<const uint32_t *>(value);
        preference->alignment[attribute - ALIGNMENT_A] = alignment;
    } else {
        return INVALID_VALUE;
    }
    return SUCCESS;
}
EXPORT Status cublasLtMatmulAlgoGetHeuristic(void *, const Description *description,
                                             const Layout *a, const Layout *b, const Layout *c,
                                             const Layout *d, const Preference *preference,
                                             int asked, Heuristic *found, int *count) {
    *count = 0;
    if (!fits(*description, *a, *b, *c) || !fits(*description, *a, *b, *d)) return INVALID_VALUE;
    uint32_t alignment = 1;
    for (uint32_t each : preference->alignment) alignment = each > alignment ? each : alignment;
    for (uint64_t number : {GOOD, FAILS, UNFIT, OTHER}) {
        if (*count == asked) break;
        found[*count] = {{number, preference->room, alignment, {}}, preference->room,
                         number == UNFIT ? NOT_SUPPORTED : SUCCESS, 1, {}};
        ++*count;
    }
    return SUCCESS;
}
EXPORT Status cublasLtMatmul(void *, const Description *description, const void *alpha,
                             const void *a, const Layout *a_layout, const void *b,
                             const Layout *b_layout, const void *beta, const void *c,
                             const Layout *c_layout, void *d, const Layout *d_layout,
                             const Algorithm *algorithm, void *room, size_t room_bytes,
                             void *stream) {
    if (description->scale != F32 || c != d) return NOT_SUPPORTED;
    if (!fits(*description, *a_layout, *b_layout, *d_layout)) return INVALID_VALUE;
    if (algorithm->number != GOOD && algorithm->number != OTHER) return NOT_SUPPORTED;
    if (room_bytes < algorithm->room || !dragoman_on_device(room, room_bytes))
        return INVALID_VALUE;
    for (const void *place : {a, b, c})
        if (reinterpret_cast<uintptr_t>(place) % algorithm->alignment) return INVALID_VALUE;
    auto matrix = [](const void *data, const Layout &layout) {
        return Matrix{data, layout.type, int(layout.leading), 0};
    };
    Product product = {description->a_turned != 0, description->b_turned != 0,
                       int(d_layout->rows), int(d_layout->columns),
                       int(description->a_turned ? a_layout->rows : a_layout->columns),
                       load<double>(alpha, F32, 0), load<double>(beta, F32, 0),
                       matrix(a, *a_layout), matrix(b, *b_layout), matrix(d, *d_layout), 1,
                       false};
    return enqueue(stream, product);
}
