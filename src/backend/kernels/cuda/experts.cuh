// What products of experts share: lists of rows by expert, cut into tiles.
//
// A choice is one row and one of its experts, number `row * chosen + i`; a slot
// is a choice's place when choices are sorted by expert. What experts compute
// stands by slot.
#pragma once

#include "common.cuh"

// An expert that nobody chose, or a tile without rows.
#define NO_EXPERT 0xffffffffu

// Slots of one expert, from `first` on.
struct Tile {
    uint32_t expert, first, rows;
};

// Tile `at` of `tiles` (any, 2), at most `most` rows of it; false if it has none.
// Slots of expert e are starts[e] to starts[e + 1].
static __device__ __forceinline__ bool find_tile(const uint32_t *tiles, const uint32_t *starts,
                                                 uint32_t at, uint32_t most, Tile &tile) {
    tile.expert = tiles[2 * at];
    if (tile.expert == NO_EXPERT) return false;
    tile.first = tiles[2 * at + 1];
    tile.rows = min(starts[tile.expert + 1] - tile.first, most);
    return true;
}

// The row of x that a slot takes: that of its choice where x has rows of the
// batch, or one of its own where `chosen` is 0. `order` (slots) has choices.
static __device__ __forceinline__ uint32_t row_of(const uint32_t *order, uint32_t chosen,
                                                  uint32_t slot) {
    return chosen ? order[slot] / chosen : slot;
}

// Sums over the lanes of each of the values, which all lanes get.
template <int LEN> static __device__ __forceinline__ void warp_sums(float (&values)[LEN]) {
#pragma unroll
    for (int i = 0; i < LEN; i++) values[i] = warp_sum(values[i]);
}
