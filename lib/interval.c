#include "interval.h"

#include <math.h>

/* P(X <= k) of a binomial, 0 < p < 1: summed from the largest term of the sum downwards, so that nothing underflows
 * that counts. */
static double at_most(uint64_t k, uint64_t n, double p)
{
    double mode = floor((double)(n + 1) * p), top = fmin((double)k, mode);
    double at = lgamma((double)n + 1) - lgamma(top + 1) - lgamma((double)n - top + 1) + top * log(p) +
                ((double)n - top) * log1p(-p);
    double term = exp(at), sum = term, odds = p / (1 - p);
    for (double i = top, t = term; i > 0 && t > sum * 1e-17; i--) sum += t *= i / ((double)n - i + 1) / odds;
    for (double i = top, t = term; i < (double)k && t > sum * 1e-17; i++) sum += t *= ((double)n - i) / (i + 1) * odds;
    return fmin(sum, 1);
}

/* The p at which P(X <= k) is `tail`; it falls with p. */
static double solve(uint64_t k, uint64_t n, double tail)
{
    double low = 0, high = 1;
    for (int i = 0; i < 100; i++) {
        double p = (low + high) / 2;
        if (at_most(k, n, p) > tail)
            low = p;
        else
            high = p;
    }
    return (low + high) / 2;
}

void fw_clopper_pearson(uint64_t k, uint64_t n, double confidence, double *low, double *high)
{
    double tail = (1 - confidence) / 2;
    *low = !n || !k ? 0 : solve(k - 1, n, 1 - tail);
    *high = !n || k >= n ? 1 : solve(k, n, tail);
}
