// libcublasLt: handles alone.
#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int cublasLtCreate(void **handle) {
    *handle = new char;
    return 0;
}
EXPORT int cublasLtDestroy(void *handle) {
    delete static_cast<char *>(handle);
    return 0;
}
