/* See fastnet_kernels.h. */
#include "fastnet_kernels.h"

#include "fastnet_amx.h"

#include <string.h>

#if defined(__x86_64__)
#include "fastnet_simd.h"

enum { CACHE_LINE = 64 };

/* How far ahead weights are fetched. Between two runs of a network other work has pushed them out of the second-level
 * cache; the processor's own prefetching loses the thread at every page. Detector after other work, times as fast as
 * ONNX Runtime: none 1.12, 1 KB 1.17, 2 KB 1.21, 4 KB 1.23, 8 KB 1.23; embedder 1.14, -, 1.22, 1.25, 1.26. */
enum { AHEAD = 4096 };

/* --- convolution: tiles of 14 rows x 32 columns; 14 broadcasts and 2 loads feed 28 multiply-adds --------------------
 */

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define START(r)    __m512 lo##r = bias0, hi##r = bias1;
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        const __m512i x = _mm512_set1_epi32((int)a[r * step + w]);                                                     \
        lo##r = multiply_add(lo##r, b0, x, half);                                                                      \
        if (pair) hi##r = multiply_add(hi##r, b1, x, half);                                                            \
    }
#define RELU(r)                                                                                                        \
    lo##r = _mm512_max_ps(lo##r, zero);                                                                                \
    if (pair) hi##r = _mm512_max_ps(hi##r, zero);
#define BEND(r)                                                                                                        \
    lo##r = fw_bent(lo##r, bend0);                                                                                     \
    if (pair) hi##r = fw_bent(hi##r, bend1);
#define ADD(r)                                                                                                         \
    lo##r = _mm512_add_ps(lo##r, fw_load(f.add.at, place.from[r] + col, half));                                        \
    if (pair) hi##r = _mm512_add_ps(hi##r, fw_load(f.add.at, place.from[r] + col + FW_LANES, half));
#define PUT(r)                                                                                                         \
    if (place.some >> r & 1) {                                                                                         \
        fw_store(f.to.at, place.to[r] + col, lo##r, narrow);                                                           \
        if (pair) fw_store(f.to.at, place.to[r] + col + FW_LANES, hi##r, narrow);                                      \
    }

FW_INLINE __m512 multiply_add(__m512 sum, __m512i b, __m512i x, const bool half)
{
    if (half)
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(x));
    else
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(x));
    return sum;
}

/* Where the rows of a tile go: `some`: a bit for each that is somebody's. */
typedef struct places {
    size_t to[FW_TILE_ROWS], from[FW_TILE_ROWS];
    uint32_t some;
} places;

FW_INLINE void find_places(const fw_dense *d, size_t row, places *p)
{
    const fw_finish *f = &d->finish;
    const size_t left = d->rows - row, rows = left < FW_TILE_ROWS ? left : FW_TILE_ROWS;
    size_t y = (uint32_t)row / (uint32_t)d->line, x = (uint32_t)row % (uint32_t)d->line;
    if (rows == FW_TILE_ROWS && x + FW_TILE_ROWS <= d->width && !f->add_up) { /* side by side */
        const size_t to = fw_finish_to(f, y, x), from = fw_finish_from(f, y, x);
        for (size_t r = 0; r < FW_TILE_ROWS; r++) p->to[r] = to + r * f->to.pixel, p->from[r] = from + r * f->add.pixel;
        p->some = (1u << FW_TILE_ROWS) - 1;
        return;
    }
    *p = (places){0};
    for (size_t r = 0; r < rows; r++) {
        p->some |= (uint32_t)(x < d->width) << r;
        p->to[r] = fw_finish_to(f, y, x);
        if (f->add.at && x < d->width) p->from[r] = fw_finish_from(f, y, x);
        if (++x == d->line) x = 0, y++;
    }
}

/* One tile; `pair`: of 32 columns, else of 16. */
FW_INLINE void make_tile(const fw_dense *d, size_t row, size_t col, const size_t step, const bool pair, const bool half)
{
    const uint32_t *a = (const uint32_t *)d->src + row * step, *b = d->weight + col * d->segments * d->words;
    const __m512 bias0 = fw_bias(&d->finish, col), bias1 = pair ? fw_bias(&d->finish, col + FW_LANES) : bias0;
    EACH_ROW(START)
    for (size_t s = 0; s < d->segments; s++, a += d->segment_step)
        for (size_t w = 0; w < d->words; w++, b += pair ? 2 * FW_LANES : FW_LANES) {
            const __m512i b0 = _mm512_loadu_si512(b), b1 = pair ? _mm512_loadu_si512(b + FW_LANES) : b0;
            __builtin_prefetch((const char *)b + AHEAD);
            if (pair) __builtin_prefetch((const char *)b + AHEAD + CACHE_LINE);
            EACH_ROW(STEP)
        }
    const fw_finish f = d->finish;
    const bool narrow = half && !f.wide;
    const __m512 zero = _mm512_setzero_ps();
    places place;
    find_places(d, row, &place);
    if (f.relu) {
        EACH_ROW(RELU)
    }
    if (f.bend) {
        const __m512 bend0 = _mm512_loadu_ps(f.bend + col),
                     bend1 = pair ? _mm512_loadu_ps(f.bend + col + FW_LANES) : zero;
        EACH_ROW(BEND)
    }
    if (f.add.at) {
        EACH_ROW(ADD)
    }
    EACH_ROW(PUT)
}

/* Rows in blocks whose inputs stay in the first-level cache while all columns pass. The last tile of all overlaps the
 * one before. */
FW_INLINE void make_tiles(const fw_dense *d, const size_t step, const bool half)
{
    enum { BLOCK = 8 * FW_TILE_ROWS };
    const size_t last = d->rows > FW_TILE_ROWS ? d->rows - FW_TILE_ROWS : 0;
    for (size_t begin = 0; begin < d->rows; begin += BLOCK) {
        const size_t end = begin + BLOCK < d->rows ? begin + BLOCK : d->rows;
        for (size_t col = 0; col < d->cols; col += FW_TILE_COLS)
            for (size_t row = begin; row < end; row += FW_TILE_ROWS) {
                const size_t at = row < last ? row : last;
                if (d->cols - col >= FW_TILE_COLS)
                    make_tile(d, at, col, step, true, half);
                else
                    make_tile(d, at, col, step, false, half);
            }
    }
}

/* Where `step` is a constant, 14 rows need one address register. These are the usual widths. */
FW_INLINE void make_all(const fw_dense *d, const bool half)
{
#define USUAL(n)                                                                                                       \
    case n:                                                                                                            \
        make_tiles(d, n, half);                                                                                        \
        break;
    switch (d->step) {
        USUAL(4)
        USUAL(8)
        USUAL(16)
        USUAL(32)
        USUAL(64)
        USUAL(128)
        USUAL(256)
        USUAL(512)
    default:
        make_tiles(d, d->step, half);
    }
#undef USUAL
}

/* On a copy: the compiler knows that no result is stored into it, and keeps it in registers. */
FW_AVX512 static void dense_f32(fw_dense d)
{
    make_all(&d, false);
}

FW_AVX512 static void dense_bf16(fw_dense d)
{
    make_all(&d, true);
}

void fw_dense_run(const fw_dense *d)
{
    if (!fw_dense_run_amx(d)) (d->half ? dense_bf16 : dense_f32)(*d);
}

/* --- depthwise ------------------------------------------------------------------------------------------------------
 * Pixel by pixel, all its channels, as they lie in memory (channel by channel over the picture misses the cache: 64
 * bytes of every 512). A 3 x 3 filter makes 4 neighbouring results at once: 18 or 27 activations and 9 weights are read
 * for 36 multiply-adds. */

enum { GROUP = 4 };

/* What a kernel line reads, from channel c on. The compiler may not know that it is one pointer plus multiples of
 * others: it would keep 27 of them, most on the stack. */
FW_INLINE const char *input_line(const fw_depthwise *d, int y, int x, size_t c, const bool half)
{
    const size_t from = (size_t)y * d->src.line + (size_t)(x * d->stride) * d->src.pixel + c;
    const char *p = (const char *)d->src.at + from * (half ? sizeof(uint16_t) : sizeof(float));
    __asm__("" : "+r"(p));
    return p;
}

FW_INLINE void filter_any(const fw_depthwise *d, int y, int x, const bool half)
{
    const float *w = d->weight;
    for (size_t c = 0; c < d->channels; c += FW_LANES) {
        __m512 sum = fw_bias(&d->finish, c);
        for (int i = 0; i < d->kernel; i++) {
            const char *in = input_line(d, y * d->stride + i, x, c, half);
            for (int j = 0; j < d->kernel; j++, w += FW_LANES)
                sum = _mm512_fmadd_ps(_mm512_loadu_ps(w), fw_load(in, (size_t)j * d->src.pixel, half), sum);
        }
        fw_finish_at(&d->finish, (size_t)y, (size_t)x, c, sum, half);
    }
}

FW_INLINE void filter_group(const fw_depthwise *d, int y, int x, const int stride, const bool half)
{
    const float *w = d->weight;
    for (size_t c = 0; c < d->channels; c += FW_LANES, w += 9 * FW_LANES) {
        const __m512 bias = fw_bias(&d->finish, c);
        __m512 sum[GROUP] = {bias, bias, bias, bias};
        _Pragma("GCC unroll 3") for (int i = 0; i < 3; i++)
        {
            const char *in = input_line(d, y * stride + i, x, c, half);
            _Pragma("GCC unroll 9") for (int j = 0; j < 3 + (GROUP - 1) * stride; j++)
            {
                const __m512 v = fw_load(in, (size_t)j * d->src.pixel, half);
                _Pragma("GCC unroll 4") for (int t = 0; t < GROUP; t++) if (j >= t * stride && j < t * stride + 3)
                    sum[t] = _mm512_fmadd_ps(_mm512_loadu_ps(w + (3 * i + j - t * stride) * FW_LANES), v, sum[t]);
            }
        }
        _Pragma("GCC unroll 4") for (int t = 0; t < GROUP; t++)
            fw_finish_at(&d->finish, (size_t)y, (size_t)(x + t), c, sum[t], half);
    }
}

FW_INLINE void filter_all(fw_depthwise *d, const bool half)
{
    const bool grouped = d->kernel == 3 && d->stride <= 2 && d->width >= GROUP;
    d->finish.add.at = NULL; /* there is none, which makes the code shorter */
    for (int y = 0; y < d->height; y++)
        for (int x = 0; x < d->width; x += grouped ? GROUP : 1) {
            const int at = grouped && x > d->width - GROUP ? d->width - GROUP : x; /* the last may overlap */
            if (!grouped)
                filter_any(d, y, at, half);
            else if (d->stride == 1)
                filter_group(d, y, at, 1, half);
            else
                filter_group(d, y, at, 2, half);
        }
}

FW_AVX512 static void depthwise_f32(fw_depthwise d)
{
    filter_all(&d, false);
}

FW_AVX512 static void depthwise_bf16(fw_depthwise d)
{
    filter_all(&d, true);
}

void fw_depthwise_run(const fw_depthwise *d)
{
    (d->half ? depthwise_bf16 : depthwise_f32)(*d);
}

/* --- the input: 16 pixels of three planes to 64 values ---------------------------------------------------------------
 */

/* Pixels in the order in which the 128-bit lanes of unpacked planes will hold them: 0 4 8 12, 1 5 9 13 ... */
FW_INLINE __m512 load_spread(const float *p, __mmask16 some)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_ps(order, _mm512_maskz_loadu_ps(some, p));
}

FW_INLINE __m512 join(__m512 low, __m512 high, const bool upper)
{
    const __m512d a = _mm512_castps_pd(low), b = _mm512_castps_pd(high);
    return _mm512_castpd_ps(upper ? _mm512_unpackhi_pd(a, b) : _mm512_unpacklo_pd(a, b));
}

FW_INLINE void interleave(const float *in, size_t plane, size_t n, void *out, const bool half)
{
    const __mmask16 some = (__mmask16)((1u << n) - 1);
    const __m512 a = load_spread(in, some), b = load_spread(in + plane, some), c = load_spread(in + 2 * plane, some);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 ab0 = _mm512_unpacklo_ps(a, b), c0 = _mm512_unpacklo_ps(c, zero);
    const __m512 ab1 = _mm512_unpackhi_ps(a, b), c1 = _mm512_unpackhi_ps(c, zero);
    const __m512 four[4] = {join(ab0, c0, false), join(ab0, c0, true), join(ab1, c1, false), join(ab1, c1, true)};
    for (size_t i = 0; i < 4 && 4 * i < n; i++) {
        const size_t left = n - 4 * i;
        fw_store_some(out, 16 * i, four[i], (__mmask16)(left < 4 ? (1u << 4 * left) - 1 : 0xFFFF), half);
    }
}

FW_INLINE void interleave_all(const float *planes, size_t plane, size_t height, size_t width, fw_grid to,
                              const bool half)
{
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x += FW_LANES) {
            const size_t n = width - x < FW_LANES ? width - x : FW_LANES, at = y * to.line + x * to.pixel;
            void *out = (char *)to.at + at * (half ? sizeof(uint16_t) : sizeof(float));
            interleave(planes + y * width + x, plane, n, out, half);
        }
}

FW_AVX512 void fw_interleave_run(const float *planes, size_t plane, size_t height, size_t width, bool half, fw_grid to)
{
    if (half)
        interleave_all(planes, plane, height, width, to, true);
    else
        interleave_all(planes, plane, height, width, to, false);
}

/* --- the rest -------------------------------------------------------------------------------------------------------
 */

/* e^x = 2^n 2^f with |f| <= 1/2: n goes into the exponent, 2^f is its Taylor polynomial (the next term is 2e-8). */
FW_INLINE __m512 exponential(__m512 x)
{
    static const float term[] = {1.5403530393381609e-4f,
                                 1.3333558146428443e-3f,
                                 9.6181291076284772e-3f,
                                 5.5504108664821579e-2f,
                                 2.4022650695910072e-1f,
                                 6.9314718055994531e-1f,
                                 1};
    const __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f));
    const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(t, n);
    __m512 p = _mm512_set1_ps(term[0]);
    for (size_t i = 1; i < FW_COUNT(term); i++) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(term[i]));
    return _mm512_scalef_ps(p, n);
}

FW_AVX512 void fw_sigmoid_run(float *x, size_t n)
{
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < n; i += FW_LANES) {
        const __m512 e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_loadu_ps(x + i)));
        _mm512_storeu_ps(x + i, _mm512_div_ps(one, _mm512_add_ps(one, e)));
    }
}

bool fw_fastnet_usable(bool bf16)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           (!bf16 || __builtin_cpu_supports("avx512bf16"));
}

#else /* other CPUs: never called */
bool fw_fastnet_usable(bool bf16)
{
    FW_UNUSED(bf16);
    return false;
}
void fw_dense_run(const fw_dense *d)
{
    FW_UNUSED(d);
}
void fw_depthwise_run(const fw_depthwise *d)
{
    FW_UNUSED(d);
}
void fw_sigmoid_run(float *x, size_t n)
{
    FW_UNUSED(x);
    FW_UNUSED(n);
}
void fw_interleave_run(const float *planes, size_t plane, size_t height, size_t width, bool half, fw_grid to)
{
    FW_UNUSED(planes);
    FW_UNUSED(plane);
    FW_UNUSED(height);
    FW_UNUSED(width);
    FW_UNUSED(half);
    FW_UNUSED(to);
}
#endif

static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* Column o of the matrix, its k-th row (kernel line, kernel column, channel). */
static uint32_t *cell(uint32_t *m, size_t rows, size_t cols, size_t k, size_t o)
{
    const size_t panel = o / FW_TILE_COLS * FW_TILE_COLS, wide = cols - panel < FW_TILE_COLS ? FW_LANES : FW_TILE_COLS;
    return m + panel * rows + k * wide + (o - panel);
}

uint32_t *fw_dense_pack(const float *w, size_t out, size_t in, size_t kernel, size_t room, size_t cols, bool half)
{
    const size_t rows = kernel * kernel * room / (half ? 2 : 1);
    uint32_t *packed = fw_alloc_aligned(rows * cols, sizeof *packed);
    for (size_t o = 0; o < out; o++)
        for (size_t c = 0; c < in; c++)
            for (size_t p = 0; p < kernel * kernel; p++) {
                const float x = w[(o * in + c) * kernel * kernel + p];
                const size_t k = p * room + c;
                uint32_t *to = cell(packed, rows, cols, half ? k / 2 : k, o);
                if (half)
                    *to |= (uint32_t)to_bf16(x) << (k % 2 ? 16 : 0);
                else
                    memcpy(to, &x, sizeof x);
            }
    return packed;
}
