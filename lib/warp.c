#include "warp.h"

#include <math.h>
#include <string.h>

/* An RMS spread under half a pixel is a failed detection, not a small face. */
#define SPREAD_MIN 0.5
/* |sum conj(p) q| / (|p| |q|): 1 for a perfect fit, 0.92 the lowest of 350 LFW faces. Below 0.1 the scale is noise. */
#define CORRELATION_MIN 0.1
/* Up to here the two-pixel-wide bilinear taps leave no source pixel out. */
#define SHRINK_PLAIN 1.5
/* Blocks to average, a side: 4096^2 * 255 still fits the 32-bit sums. */
#define REDUCE_MAX 4096

/* arcface112: J. Deng et al., "ArcFace", CVPR 2019, as published with the code; sphereface: W. Liu et al., CVPR 2017
 * (the same points in a frame 8 px narrower on each side). */
static const fw_template templates[] = {
    {"arcface112",
     112,
     112,
     {38.2946f, 51.6963f, 73.5318f, 51.5014f, 56.0252f, 71.7366f, 41.5493f, 92.3655f, 70.7299f, 92.2041f}},
    {"sphereface",
     96,
     112,
     {30.2946f, 51.6963f, 65.5318f, 51.5014f, 48.0252f, 71.7366f, 33.5493f, 92.3655f, 62.7299f, 92.2041f}},
};

const fw_template *fw_template_at(size_t at)
{
    return at < FW_COUNT(templates) ? &templates[at] : NULL;
}

const fw_template *fw_template_find(const char *name)
{
    for (size_t i = 0; i < FW_COUNT(templates); i++)
        if (strcmp(templates[i].name, name) == 0) return &templates[i];
    return NULL;
}

/* Means of five points; false when one is not finite. */
static bool centre(const float p[10], double *cx, double *cy)
{
    *cx = *cy = 0;
    for (int i = 0; i < 10; i += 2) {
        if (!isfinite(p[i]) || !isfinite(p[i + 1])) return false;
        *cx += p[i] / 5.0;
        *cy += p[i + 1] / 5.0;
    }
    return true;
}

enum fw_fit fw_similarity(const float from[10], const float to[10], fw_affine *out)
{
    double px, py, qx, qy, pp = 0, qq = 0;
    double re = 0, im = 0;   /* sum conj(p) q: the rotation */
    double mre = 0, mim = 0; /* sum p q: the best reflection */
    *out = (fw_affine){{1, 0, 0, 0, 1, 0}};
    if (!centre(from, &px, &py) || !centre(to, &qx, &qy)) return FW_FIT_DEGENERATE;
    for (int i = 0; i < 10; i += 2) {
        const double ax = from[i] - px, ay = from[i + 1] - py, bx = to[i] - qx, by = to[i + 1] - qy;
        pp += ax * ax + ay * ay;
        qq += bx * bx + by * by;
        re += ax * bx + ay * by;
        im += ax * by - ay * bx;
        mre += ax * bx - ay * by;
        mim += ax * by + ay * bx;
    }
    if (pp < 5 * SPREAD_MIN * SPREAD_MIN || qq < 5 * SPREAD_MIN * SPREAD_MIN) return FW_FIT_DEGENERATE;
    if (re * re + im * im < CORRELATION_MIN * CORRELATION_MIN * pp * qq) return FW_FIT_DEGENERATE;
    const double a = re / pp, b = im / pp;
    *out = (fw_affine){{a, -b, qx - a * px + b * py, b, a, qy - b * px - a * py}};
    return mre * mre + mim * mim > re * re + im * im ? FW_FIT_MIRRORED : FW_FIT_OK;
}

void fw_affine_apply(const fw_affine *a, double x, double y, double *ox, double *oy)
{
    *ox = a->m[0] * x + a->m[1] * y + a->m[2];
    *oy = a->m[3] * x + a->m[4] * y + a->m[5];
}

static double determinant(const fw_affine *a)
{
    return a->m[0] * a->m[4] - a->m[1] * a->m[3];
}

bool fw_affine_invert(const fw_affine *a, fw_affine *out)
{
    const double det = determinant(a);
    if (!isfinite(det) || fabs(det) < 1e-12) return false;
    const double p = a->m[4] / det, q = -a->m[1] / det, r = -a->m[3] / det, s = a->m[0] / det;
    *out = (fw_affine){{p, q, -(p * a->m[2] + q * a->m[5]), r, s, -(r * a->m[2] + s * a->m[5])}};
    return true;
}

double fw_affine_shrink(const fw_affine *a)
{
    const double det = fabs(determinant(a));
    return isfinite(det) && det >= 1e-12 ? sqrt(1 / det) : 0;
}

double fw_fit_residual(const fw_affine *a, const float from[10], const float to[10])
{
    double sum = 0;
    for (int i = 0; i < 10; i += 2) {
        double x, y;
        fw_affine_apply(a, from[i], from[i + 1], &x, &y);
        sum += (x - to[i]) * (x - to[i]) + (y - to[i + 1]) * (y - to[i + 1]);
    }
    return sqrt(sum / 5);
}

void fw_landmarks_decoded(const fw_image *im, const float full[10], float out[10])
{
    const double sx = (double)im->width / im->full_width, sy = (double)im->height / im->full_height;
    for (int i = 0; i < 10; i++) out[i] = (float)((full[i] + 0.5) * (i % 2 ? sy : sx) - 0.5);
}

/* Add the bilinear sample at (x, y) to sum[3]; outside is black. */
static void add_inside(const fw_image *im, int x0, int y0, float fx, float fy, float sum[3])
{
    const uint8_t *p = im->rgb + 3 * ((size_t)y0 * (size_t)im->width + (size_t)x0), *q = p + 3 * (size_t)im->width;
    for (int k = 0; k < 3; k++) {
        const float top = p[k] + fx * (float)(p[k + 3] - p[k]), low = q[k] + fx * (float)(q[k + 3] - q[k]);
        sum[k] += top + fy * (low - top);
    }
}

static void add_at_edge(const fw_image *im, int x0, int y0, float fx, float fy, float sum[3])
{
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            const int x = x0 + i, y = y0 + j;
            if (x < 0 || y < 0 || x >= im->width || y >= im->height) continue;
            const float w = (i ? fx : 1 - fx) * (j ? fy : 1 - fy);
            const uint8_t *p = im->rgb + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
            for (int k = 0; k < 3; k++) sum[k] += w * p[k];
        }
}

static void add_sample(const fw_image *im, double x, double y, float sum[3])
{
    if (!(x > -1 && y > -1 && x < im->width && y < im->height)) return; /* NaN too */
    const int x0 = (int)(x + 1) - 1, y0 = (int)(y + 1) - 1;             /* floor, as x + 1 > 0 */
    const float fx = (float)(x - x0), fy = (float)(y - y0);
    if (x0 >= 0 && y0 >= 0 && x0 + 1 < im->width && y0 + 1 < im->height)
        add_inside(im, x0, y0, fx, fy, sum);
    else
        add_at_edge(im, x0, y0, fx, fy, sum);
}

/* One output row. n x n samples a pixel, spread evenly over it. */
static void warp_row(const fw_image *im, const fw_affine *back, int n, int y, int ow, uint8_t *out)
{
    const float scale = 1.0f / (float)(n * n);
    for (int x = 0; x < ow; x++) {
        float sum[3] = {0, 0, 0};
        for (int j = 0; j < n; j++)
            for (int i = 0; i < n; i++) {
                double sx, sy;
                fw_affine_apply(back, x + (i + 0.5) / n - 0.5, y + (j + 0.5) / n - 0.5, &sx, &sy);
                add_sample(im, sx, sy, sum);
            }
        for (int k = 0; k < 3; k++) out[3 * x + k] = (uint8_t)(sum[k] * scale + 0.5f);
    }
}

/* A rectangle of source pixels, x1 and y1 exclusive. */
typedef struct region {
    int x0, y0, x1, y1;
} region;

static int clamp_to(double v, int low, int high)
{
    return v < low ? low : v > high ? high : (int)v;
}

/* What the output can see of the picture: the bounding box of its corners, `around` pixels wider. */
static region seen(const fw_image *im, const fw_affine *back, int ow, int oh, int around)
{
    double low_x = INFINITY, low_y = INFINITY, high_x = -INFINITY, high_y = -INFINITY;
    for (int corner = 0; corner < 4; corner++) {
        double x, y;
        fw_affine_apply(back, corner & 1 ? ow : -1, corner & 2 ? oh : -1, &x, &y);
        low_x = fmin(low_x, x), low_y = fmin(low_y, y);
        high_x = fmax(high_x, x), high_y = fmax(high_y, y);
    }
    return (region){clamp_to(low_x - around, 0, im->width), clamp_to(low_y - around, 0, im->height),
                    clamp_to(high_x + around + 1, 0, im->width), clamp_to(high_y + around + 1, 0, im->height)};
}

/* Sums of one row of k x k blocks; what of a block lies outside the region counts as black. */
static void sum_blocks(const fw_image *im, region r, int k, int row, uint32_t *sum, int columns)
{
    const int first = r.y0 + row * k, end = first + k < r.y1 ? first + k : r.y1;
    memset(sum, 0, 3 * (size_t)columns * sizeof *sum);
    for (int y = first; y < end; y++) {
        const uint8_t *p = im->rgb + 3 * ((size_t)y * (size_t)im->width + (size_t)r.x0);
        for (int c = 0, x = r.x0; c < columns; c++)
            for (int stop = x + k < r.x1 ? x + k : r.x1; x < stop; x++, p += 3)
                for (int i = 0; i < 3; i++) sum[3 * c + i] += p[i];
    }
}

/* The region shrunk k times by averaging. Returns a picture that the caller frees. */
static fw_image reduce(const fw_image *im, region r, int k)
{
    const int columns = (r.x1 - r.x0 + k - 1) / k, rows = (r.y1 - r.y0 + k - 1) / k;
    fw_image out = {.width = columns, .height = rows, .cap = 3 * (size_t)columns * (size_t)rows};
    const uint32_t area = (uint32_t)k * (uint32_t)k;
    uint32_t *sum = FW_ARRAY(uint32_t, 3 * (size_t)columns);
    out.rgb = fw_alloc(out.cap, 1);
    for (int row = 0; row < rows; row++) {
        sum_blocks(im, r, k, row, sum, columns);
        uint8_t *to = out.rgb + 3 * (size_t)columns * (size_t)row;
        for (int i = 0; i < 3 * columns; i++) to[i] = (uint8_t)((sum[i] + area / 2) / area);
    }
    fw_free(sum);
    return out;
}

/* Shrinking k times or more, k >= 2: average k x k blocks first. Less than 1.5 is then left to do. */
static void warp_reduced(const fw_image *im, const fw_affine *back, int k, int ow, int oh, uint8_t *out)
{
    const region r = seen(im, back, ow, oh, 2 * k);
    fw_image small = reduce(im, r, k);
    /* block X has its centre at x0 + k X + (k - 1) / 2 */
    const double mid = (k - 1) / 2.0;
    const double *m = back->m;
    const fw_affine b = {{m[0] / k, m[1] / k, (m[2] - r.x0 - mid) / k, m[3] / k, m[4] / k, (m[5] - r.y0 - mid) / k}};
    for (int y = 0; y < oh; y++) warp_row(&small, &b, 1, y, ow, out + 3 * (size_t)ow * (size_t)y);
    fw_image_free(&small);
}

void fw_warp(const fw_image *im, const fw_affine *a, int ow, int oh, uint8_t *out)
{
    fw_affine back;
    if (!fw_affine_invert(a, &back)) {
        memset(out, 0, 3 * (size_t)ow * (size_t)oh);
        return;
    }
    const double shrink = fw_affine_shrink(a);
    if (shrink >= 2) {
        warp_reduced(im, &back, clamp_to(shrink, 2, REDUCE_MAX), ow, oh, out);
        return;
    }
    const int n = shrink > SHRINK_PLAIN ? 2 : 1;
    for (int y = 0; y < oh; y++) warp_row(im, &back, n, y, ow, out + 3 * (size_t)ow * (size_t)y);
}

int fw_template_rows(const fw_template *t, int size)
{
    return (int)lround((double)size * t->height / t->width);
}

enum fw_fit fw_template_fit(const float landmarks[10], const fw_template *t, int size, double margin, fw_affine *out)
{
    const double scale = size / (t->width * (1 + 2 * margin));
    float to[10];
    for (int i = 0; i < 10; i++) {
        const double side = i % 2 ? t->height : t->width;
        to[i] = (float)((t->point[i] + 0.5 + margin * side) * scale - 0.5); /* pixel edges scale, not centres */
    }
    return fw_similarity(landmarks, to, out);
}

enum fw_fit fw_warp_template(const fw_image *im, const float landmarks[10], const fw_template *t, int size,
                             double margin, uint8_t *out)
{
    fw_affine a;
    float decoded[10];
    const int rows = fw_template_rows(t, size);
    fw_landmarks_decoded(im, landmarks, decoded);
    enum fw_fit fit = fw_template_fit(decoded, t, size, margin, &a);
    if (fit == FW_FIT_DEGENERATE)
        memset(out, 0, 3 * (size_t)size * (size_t)rows);
    else
        fw_warp(im, &a, size, rows, out);
    return fit;
}

fw_pose fw_pose_from_landmarks(const float l[10])
{
    static const double degrees = 180 / 3.14159265358979323846, depth = 0.41, frontal = 0.555;
    const fw_pose unknown = {90, 90, 90};
    double cx, cy;
    if (!centre(l, &cx, &cy)) return unknown;
    const double ex = l[2] - l[0], ey = l[3] - l[1], eyes = hypot(ex, ey);
    if (eyes < SPREAD_MIN) return unknown;
    const double c = ex / eyes, s = ey / eyes; /* turn by -roll about the middle of the eyes */
    const double mx = (l[0] + l[2]) / 2.0, my = (l[1] + l[3]) / 2.0;
    const double nx = l[4] - mx, ny = l[5] - my, ox = (l[6] + l[8]) / 2.0 - mx, oy = (l[7] + l[9]) / 2.0 - my;
    const double nose_x = c * nx + s * ny, nose_y = c * ny - s * nx;
    const double mouth_x = c * ox + s * oy, mouth_y = c * oy - s * ox;
    if (mouth_y < SPREAD_MIN) return unknown; /* mouth not below the eyes */
    const double t = nose_y / mouth_y;
    return (fw_pose){(float)(degrees * atan((nose_x - mouth_x * t) / eyes / depth)),
                     (float)(degrees * atan((frontal - t) / depth)), (float)(degrees * atan2(ey, ex))};
}
