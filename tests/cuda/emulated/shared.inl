// Shared memory of the running block. Part of emulate.cpp.
namespace emulated {

namespace {

constexpr unsigned char UNSET = 0xff, CANARY = 0xc5;
char *shared_area;
size_t shared_area_bytes;
std::vector<Site *> sites;

// Dynamic shared memory lies between two pages that nobody may touch, and ends
// where the last of its own does, but for the alignment of its start.
size_t round_up(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

void make_shared_area(size_t bytes) {
    size_t whole = round_up(bytes);
    if (whole == shared_area_bytes) return;
    if (shared_area) munmap(shared_area - PAGE, shared_area_bytes + 2 * PAGE);
    void *at = mmap(nullptr, whole + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail("no memory for %zu bytes of shared memory", bytes);
    shared_area = static_cast<char *>(at) + PAGE;
    shared_area_bytes = whole;
    if (whole) mprotect(shared_area, whole, PROT_READ | PROT_WRITE);
}

char *shared_begin(size_t bytes) {
    return shared_area + (shared_area_bytes - bytes) / 128 * 128;
}

bool only_canaries(const void *from, const void *to) {
    for (auto at = static_cast<const unsigned char *>(from); at < to; at++)
        if (*at != CANARY) return false;
    return true;
}

void check_shared(size_t bytes) {
    char *begin = shared_begin(bytes);
    if (!only_canaries(shared_area, begin) ||
        !only_canaries(begin + bytes, shared_area + shared_area_bytes))
        fail("the block wrote outside dynamic shared memory (%zu bytes)", bytes);
    for (Site *site : sites)
        if (!only_canaries(site->begin - SHARED_GUARD, site->begin) ||
            !only_canaries(site->begin + site->bytes, site->begin + site->bytes + SHARED_GUARD))
            fail("the block wrote outside a shared array of %zu bytes", site->bytes);
}

} // namespace

void *dynamic_shared() { return shared_begin(running->shared_bytes); }

void enter(Site &site, void *begin, size_t bytes) {
    site = {block_serial, static_cast<unsigned char *>(begin), bytes};
    memset(site.begin - SHARED_GUARD, CANARY, SHARED_GUARD);
    memset(site.begin, UNSET, bytes);
    memset(site.begin + bytes, CANARY, SHARED_GUARD);
    sites.push_back(&site);
    size_t sum = running->shared_bytes;
    for (const Site *other : sites) sum += other->bytes;
    if (sum > running->shared_limit)
        fail("%zu bytes of shared memory, allowed are %zu", sum, running->shared_limit);
}

} // namespace emulated
