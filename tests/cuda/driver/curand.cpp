// libcurand: random numbers with the right distribution, not cuRAND's own.
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" int dragoman_enqueue(void *stream, const std::function<void()> *work);

namespace {

enum Status { SUCCESS = 0, LAUNCH_FAILURE = 201 };

struct Generator {
    void *stream = nullptr;
    std::shared_ptr<std::mt19937_64> engine = std::make_shared<std::mt19937_64>();
};

template <typename T, typename D> Status generate(Generator *from, T *out, size_t n, D how) {
    std::function<void()> work = [engine = from->engine, out, n, how]() mutable {
        for (size_t i = 0; i < n; i++) out[i] = T(how(*engine));
    };
    return dragoman_enqueue(from->stream, &work) ? LAUNCH_FAILURE : SUCCESS;
}

} // namespace

EXPORT Status curandCreateGenerator(Generator **generator, int) {
    *generator = new Generator;
    return SUCCESS;
}
EXPORT Status curandDestroyGenerator(Generator *generator) {
    delete generator;
    return SUCCESS;
}
EXPORT Status curandSetStream(Generator *generator, void *stream) {
    generator->stream = stream;
    return SUCCESS;
}
EXPORT Status curandSetPseudoRandomGeneratorSeed(Generator *generator,
                                                 unsigned long long seed) {
    generator->engine->seed(seed);
    return SUCCESS;
}
EXPORT Status curandSetGeneratorOffset(Generator *, unsigned long long) { return SUCCESS; }
EXPORT Status curandGenerate(Generator *from, uint32_t *out, size_t n) {
    return generate(from, out, n, std::uniform_int_distribution<uint32_t>());
}
EXPORT Status curandGenerateUniform(Generator *from, float *out, size_t n) {
    return generate(from, out, n, std::uniform_real_distribution<float>());
}
EXPORT Status curandGenerateUniformDouble(Generator *from, double *out, size_t n) {
    return generate(from, out, n, std::uniform_real_distribution<double>());
}
EXPORT Status curandGenerateNormal(Generator *from, float *out, size_t n, float mean,
                                   float deviation) {
    return generate(from, out, n, std::normal_distribution<float>(mean, deviation));
}
EXPORT Status curandGenerateNormalDouble(Generator *from, double *out, size_t n, double mean,
                                         double deviation) {
    return generate(from, out, n, std::normal_distribution<double>(mean, deviation));
}
