// The kernels that edit logits and draw tokens, held to plain versions of what
// engine/sampler.rs does.
#include "../../src/backend/kernels/cuda/sample.cu"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <vector>

static std::mt19937 generator(7);
static double random_number(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
}
static uint32_t random_below(uint32_t end) { return generator() % end; }

struct Params {
    float temperature;
    uint32_t top_k;
    float top_p, min_p;
    double uniform;
};
// By how much shares are moved, to see whether a token lies at a boundary.
struct Moved {
    double uniform = 0, top_p = 0, min_p = 0;
};
typedef std::vector<std::pair<float, uint32_t>> Kept;

static double total(const Kept &kept) {
    double sum = 0;
    for (auto [weight, id] : kept) sum += weight;
    return sum;
}

static uint32_t drawn(const std::vector<float> &logits, const Params &p, Moved moved = {}) {
    float max = -INFINITY;
    for (float l : logits) max = l > max ? l : max;
    if (std::isinf(max)) return NO_TOKEN;
    if (p.temperature == 0)
        return uint32_t(std::find(logits.begin(), logits.end(), max) - logits.begin());
    Kept kept;
    for (uint32_t id = 0; id < logits.size(); id++) {
        float x = (logits[id] - max) * (1.0f / p.temperature);
        if (x > -80) kept.push_back({float(std::exp(double(x))), id});
    }
    bool top_k = p.top_k > 0 && p.top_k < logits.size();
    if (top_k || p.top_p < 1 || p.min_p > 0) {
        std::stable_sort(kept.begin(), kept.end(),
                         [](auto a, auto b) { return a.first > b.first; });
        if (top_k && kept.size() > p.top_k) kept.resize(p.top_k);
        if (p.top_p < 1) {
            double enough = total(kept) * (double(p.top_p) + moved.top_p), reached = 0;
            size_t len = 0;
            while (len < kept.size() && reached < enough) reached += kept[len++].first;
            kept.resize(std::max<size_t>(len, 1));
        }
        double least = kept[0].first * double(p.min_p) * (1 + moved.min_p);
        std::erase_if(kept, [&](auto k) { return k.first < least; });
    }
    double left = total(kept) * (p.uniform + moved.uniform);
    uint32_t last = NO_TOKEN;
    for (auto [weight, id] : kept) {
        last = id;
        left -= weight;
        if (left < 0) break;
    }
    return last;
}

static bool near_boundary(const std::vector<float> &logits, const Params &p, uint32_t token) {
    const double by[] = {0, -1e-6, 1e-6};
    for (double uniform : by)
        for (double top_p : by)
            for (double min_p : by)
                if (drawn(logits, p, {uniform, top_p, min_p}) == token) return true;
    return false;
}

static std::vector<float> random_row(uint32_t len) {
    std::vector<float> row(len);
    uint32_t shape = random_below(9);
    double spread = std::exp(random_number(-3, 2.5)), step = 0.0;
    if (random_below(3) == 0) step = std::exp2(double(random_below(5)) - 4);
    std::normal_distribution<double> normal(random_number(-20, 20), spread);
    for (float &l : row) {
        double value = shape == 0 ? spread : normal(generator);
        l = float(step > 0 ? std::round(value / step) * step : value);
        if (shape == 1 && random_below(50) == 0) l += 15;
        if (shape == 2 && random_below(2)) l = -INFINITY;
        if (shape == 3 && random_below(2)) l = NAN;
        if (shape == 4 && random_below(100)) l = random_below(2) ? -INFINITY : NAN;
        if (shape == 5 && random_below(2)) l = -0.0f;
    }
    if (shape == 6 && random_below(8) == 0) std::fill(row.begin(), row.end(), NAN);
    if (shape == 6 && random_below(8) == 0) std::fill(row.begin(), row.end(), -INFINITY);
    if (shape == 6 && random_below(8) == 0) row[random_below(len)] = INFINITY;
    return row;
}

static Params random_params(uint32_t len) {
    Params p = {1, 0, 1, 0, random_number(0, 1)};
    if (random_below(2)) p.temperature = float(std::exp(random_number(-3, 2)));
    if (random_below(8) == 0) p.temperature = 0;
    uint32_t most = random_below(2) ? std::min(len + 3, 50u) : len + 3;
    if (random_below(3) == 0) p.top_k = 1 + random_below(most);
    if (random_below(2)) p.top_p = float(random_number(0, 1));
    if (random_below(20) == 0) p.top_p = 0;
    if (random_below(3) == 0) p.min_p = float(std::exp(random_number(-9, 0)));
    if (random_below(40) == 0) p.uniform = random_below(2) ? 0 : 1 - 0x1p-53;
    return p;
}

static uint32_t bits(float x) { return __float_as_uint(x); }

static int draws(uint32_t len, uint32_t n) {
    uint32_t stride = len + 3;
    std::vector<float> logits(size_t(n) * stride, 1e9f), plain(size_t(n) * (stride + 1), 1e9f);
    std::vector<std::vector<float>> given;
    std::vector<Params> params;
    std::vector<uint32_t> rows(n), plain_rows(n), words, tokens(n, 7);
    std::vector<float> logprobs(n);
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = n - 1 - i;
        plain_rows[i] = (i + 1) % n;
        given.push_back(random_row(len));
        params.push_back(random_params(len));
        const auto &row = given[i];
        std::copy(row.begin(), row.end(), &logits[size_t(rows[i]) * stride]);
        std::copy(row.begin(), row.end(), &plain[size_t(plain_rows[i]) * (stride + 1)]);
        const Params &p = params[i];
        uint64_t uniform = uint64_t(__double_as_longlong(p.uniform));
        words.insert(words.end(), {bits(p.temperature), p.top_k, bits(p.top_p), bits(p.min_p),
                                   uint32_t(uniform), uint32_t(uniform >> 32), i % 2, 0});
    }
    auto begin = std::chrono::steady_clock::now();
    emulated::launch(n, 1024, 0, sample, logits.data(), rows.data(), stride, plain.data(),
                     plain_rows.data(), stride + 1, words.data(), len, tokens.data(),
                     logprobs.data());
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    int wrong = 0, near = 0, none = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Params &p = params[i];
        uint32_t expected = drawn(given[i], p);
        none += expected == NO_TOKEN;
        if (tokens[i] != expected) {
            if (tokens[i] != NO_TOKEN && near_boundary(given[i], p, tokens[i])) near++;
            else if (++wrong < 10)
                printf("row %u of %u: token %u, not %u: temperature %g, top_k %u, top_p %g, "
                       "min_p %g, uniform %.17g\n", i, len, tokens[i], expected, p.temperature,
                       p.top_k, p.top_p, p.min_p, p.uniform);
        }
        double logprob = NAN;
        if (i % 2 && tokens[i] < len) {
            double sum = 0, logit = given[i][tokens[i]];
            for (float l : given[i]) sum += l == l ? std::exp(l - logit) : 0;
            logprob = -std::log(sum);
        }
        double error = std::fabs(logprobs[i] - logprob);
        bool same = logprob == logprob ? error < 1e-5 * (1 - logprob) : error != error;
        if (!same && ++wrong < 10)
            printf("row %u: logprob %g, not %g\n", i, logprobs[i], logprob);
    }
    printf("%6u rows of %6u: %d wrong, %d within 1e-6 of a boundary, %d without a token "
           "(%.1f s)\n", n, len, wrong, near, none, took.count());
    return wrong;
}

struct Edits {
    std::vector<uint32_t> starts = {0}, tokens, kinds;
    std::vector<float> values;
    void add(uint32_t token, uint32_t kind, float value) {
        tokens.push_back(token);
        kinds.push_back(kind);
        values.push_back(value);
    }
};

static int edits(uint32_t len, uint32_t n) {
    Edits edits;
    std::vector<float> logits(size_t(n + 1) * (len + 1), 5.0f), expected;
    std::vector<uint32_t> rows(n), masks = {0}, spans;
    for (float &l : logits) l = random_below(20) ? float(random_number(-9, 9)) : NAN;
    expected = logits;
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = n - i;
        float *row = &expected[size_t(rows[i]) * (len + 1)];
        // All that is done with a token, in the sampler's order.
        std::map<uint32_t, std::vector<std::pair<uint32_t, float>>> done;
        for (uint32_t count = random_below(40); count > 0; count--) {
            uint32_t id = random_below(len + 5);
            float bias = float(random_number(-120, 100));
            bool ban = bias <= -100;
            if (id < len) row[id] = ban ? -INFINITY : row[id] + bias;
            done[id].push_back({ban ? EDIT_BAN : EDIT_ADD, bias});
        }
        uint32_t words = random_below(len / 32 + 2);
        spans.push_back(random_below(2) ? NO_TOKEN : uint32_t(masks.size()));
        spans.push_back(words);
        if (spans[2 * i] != NO_TOKEN) {
            for (uint32_t word = 0; word < words; word++)
                masks.push_back(random_below(3) ? uint32_t(generator()) : random_below(2) - 1);
            for (uint32_t id = 0; id < len; id++) {
                uint32_t word = id / 32 < words ? masks[spans[2 * i] + id / 32] : 0;
                if (!(word >> id % 32 & 1)) row[id] = -INFINITY;
            }
        }
        for (uint32_t count = random_below(5); count > 0; count--) {
            uint32_t id = random_below(len);
            row[id] = -INFINITY;
            done[id].push_back({EDIT_BAN, 0});
        }
        std::map<uint32_t, uint32_t> seen;
        for (uint32_t count = random_below(900); count > 0; count--)
            seen[random_below(len)] = random_below(4);
        float repetition = float(random_number(0.8, 1.5));
        float presence = float(random_number(-1, 2));
        for (auto [id, times] : seen) {
            row[id] = row[id] > 0 ? row[id] / repetition : row[id] * repetition;
            done[id].push_back({EDIT_PENALTY, repetition});
            if (times == 0) continue;
            row[id] -= presence + 0.25f * float(times);
            done[id].push_back({EDIT_SUBTRACT, presence + 0.25f * float(times)});
        }
        for (auto &[id, list] : done)
            for (auto [kind, value] : list) edits.add(id, kind, value);
        edits.starts.push_back(uint32_t(edits.tokens.size()));
    }
    emulated::launch(dim3(n, (len + 8191) / 8192), 256, 0, edit_logits, logits.data(),
                     rows.data(), len + 1, edits.starts.data(), edits.tokens.data(),
                     edits.kinds.data(), edits.values.data(), masks.data(), spans.data(), len);
    int wrong = 0;
    for (size_t i = 0; i < logits.size(); i++) {
        bool numbers = logits[i] == logits[i] || expected[i] == expected[i];
        wrong += numbers && logits[i] != expected[i];
    }
    printf("%6u rows of %6u edited: %d logits wrong\n", n, len, wrong);
    return wrong;
}

int main(int count, char **arguments) {
    // How many times as many rows are drawn from.
    uint32_t times = count > 1 ? uint32_t(atoi(arguments[1])) : 1;
    int wrong = edits(1, 20) + edits(1000, 50) + edits(20000, 20);
    for (uint32_t len : {1, 2, 3, 17, 300, 1000}) wrong += draws(len, 400 * times);
    for (uint32_t len : {1025, 5000}) wrong += draws(len, 400 * times);
    wrong += draws(32000, 200 * times) + draws(300000, 30 * times);
    return wrong > 0;
}
