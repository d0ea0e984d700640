// libcublas: products of matrices on the CPU.
#include "product.h"

namespace {

struct Handle {
    void *stream = nullptr;
    int math_mode = 0, pointer_mode = 0;
};

// The type that alpha and beta have, by cublasComputeType_t.
int scale_type(int compute) {
    return compute == 64 || compute == 65   ? F16
           : compute == 70 || compute == 71 ? F64
           : compute == 72 || compute == 73 ? I32
                                            : F32;
}

Status any(Handle *handle, int ta, int tb, int m, int n, int k, const void *alpha, Matrix a,
           Matrix b, const void *beta, Matrix c, int batch, int scale) {
    if (!handle) return INVALID_VALUE;
    if (handle->pointer_mode) return NOT_SUPPORTED;
    Product p = {ta != 0, tb != 0, m, n, k, load<double>(alpha, scale, 0),
                 load<double>(beta, scale, 0), a, b, c, batch, scale == F64 || scale == I32};
    return enqueue(handle->stream, p);
}

} // namespace

EXPORT Status cublasCreate_v2(Handle **handle) {
    *handle = new Handle;
    return SUCCESS;
}
EXPORT Status cublasDestroy_v2(Handle *handle) {
    delete handle;
    return SUCCESS;
}
EXPORT Status cublasSetStream_v2(Handle *handle, void *stream) {
    handle->stream = stream;
    return SUCCESS;
}
EXPORT Status cublasGetStream_v2(Handle *handle, void **stream) {
    *stream = handle->stream;
    return SUCCESS;
}
EXPORT Status cublasSetWorkspace_v2(Handle *, void *, size_t) { return SUCCESS; }
EXPORT Status cublasSetMathMode(Handle *handle, int mode) {
    handle->math_mode = mode;
    return SUCCESS;
}
EXPORT Status cublasGetMathMode(Handle *handle, int *mode) {
    *mode = handle->math_mode;
    return SUCCESS;
}
EXPORT Status cublasSetPointerMode_v2(Handle *handle, int mode) {
    handle->pointer_mode = mode;
    return SUCCESS;
}
EXPORT Status cublasGetPointerMode_v2(Handle *handle, int *mode) {
    *mode = handle->pointer_mode;
    return SUCCESS;
}
EXPORT Status cublasGetVersion_v2(Handle *, int *version) {
    *version = 130000;
    return SUCCESS;
}

EXPORT Status cublasGemmEx(Handle *handle, int ta, int tb, int m, int n, int k,
                           const void *alpha, const void *a, int a_type, int lda,
                           const void *b, int b_type, int ldb, const void *beta, void *c,
                           int c_type, int ldc, int compute, int) {
    return any(handle, ta, tb, m, n, k, alpha, {a, a_type, lda, 0}, {b, b_type, ldb, 0}, beta,
               {c, c_type, ldc, 0}, 1, scale_type(compute));
}
EXPORT Status cublasGemmStridedBatchedEx(Handle *handle, int ta, int tb, int m, int n, int k,
                                         const void *alpha, const void *a, int a_type, int lda,
                                         long long a_stride, const void *b, int b_type, int ldb,
                                         long long b_stride, const void *beta, void *c,
                                         int c_type, int ldc, long long c_stride, int batch,
                                         int compute, int) {
    return any(handle, ta, tb, m, n, k, alpha, {a, a_type, lda, a_stride},
               {b, b_type, ldb, b_stride}, beta, {c, c_type, ldc, c_stride}, batch,
               scale_type(compute));
}
EXPORT Status cublasGemmBatchedEx(Handle *handle, int ta, int tb, int m, int n, int k,
                                  const void *alpha, const void *const *a, int a_type, int lda,
                                  const void *const *b, int b_type, int ldb, const void *beta,
                                  void *const *c, int c_type, int ldc, int batch, int compute,
                                  int) {
    // The arrays of addresses lie on the device; they are read when it runs.
    int scale = scale_type(compute);
    double alpha_value = load<double>(alpha, scale, 0);
    double beta_value = load<double>(beta, scale, 0);
    std::function<void()> work = [=] {
        for (int i = 0; i < batch; i++) {
            Product p = {ta != 0, tb != 0, m, n, k, alpha_value, beta_value,
                         {a[i], a_type, lda, 0}, {b[i], b_type, ldb, 0}, {c[i], c_type, ldc, 0},
                         1, scale == F64 || scale == I32};
            if (p.wide) multiply<double>(p);
            else multiply<float>(p);
        }
    };
    return dragoman_enqueue(handle->stream, &work) ? EXECUTION_FAILED : SUCCESS;
}

#define GEMM(letter, T, type)                                                              \
    EXPORT Status cublas##letter(Handle *handle, int ta, int tb, int m, int n, int k,      \
                                 const T *alpha, const T *a, int lda, const T *b, int ldb, \
                                 const T *beta, T *c, int ldc) {                           \
        return any(handle, ta, tb, m, n, k, alpha, {a, type, lda, 0}, {b, type, ldb, 0},   \
                   beta, {c, type, ldc, 0}, 1, type);                                      \
    }
#define GEMM_BATCHED(letter, T, type)                                                      \
    EXPORT Status cublas##letter##gemmStridedBatched(                                      \
        Handle *handle, int ta, int tb, int m, int n, int k, const T *alpha, const T *a,   \
        int lda, long long a_stride, const T *b, int ldb, long long b_stride,              \
        const T *beta, T *c, int ldc, long long c_stride, int batch) {                     \
        return any(handle, ta, tb, m, n, k, alpha, {a, type, lda, a_stride},               \
                   {b, type, ldb, b_stride}, beta, {c, type, ldc, c_stride}, batch, type); \
    }
GEMM(Sgemm_v2, float, F32)
GEMM(Dgemm_v2, double, F64)
GEMM(Hgemm, uint16_t, F16)
GEMM_BATCHED(S, float, F32)
GEMM_BATCHED(D, double, F64)
GEMM_BATCHED(H, uint16_t, F16)
