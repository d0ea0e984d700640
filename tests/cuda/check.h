// What the tests of single kernels share: numbers to compute with, and checks that
// are counted.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <random>

static std::mt19937 generator(1);
static int failures = 0, checks = 0;

static double random_number(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
}

__attribute__((format(printf, 2, 3))) static void check(bool holds, const char *format, ...) {
    checks++;
    if (holds || ++failures > 20) return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}
