/* The canonical ABI of world tidegate:job, by hand: enough for a freestanding C guest. See ../wit/job.wit. */
#ifndef TIDEGATE_GUEST_H
#define TIDEGATE_GUEST_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef long long s64;
typedef unsigned long long u64;

typedef struct { const char *ptr; u32 len; } tg_string;
typedef struct { const u8 *ptr; u32 len; } tg_bytes;
enum { TG_F64S = 0, TG_S64S = 1, TG_BOOLS = 2, TG_TEXTS = 3, TG_BYTES = 4 };

typedef struct {
    tg_string name;
    u8 kind; /* one of the TG_ constants */
    union { const double *f64s; const s64 *s64s; const u8 *bools; const tg_string *texts; const tg_bytes *bytes; };
    u32 len;
    const u8 *valid; /* valid_len flags; none means all valid */
    u32 valid_len;
} tg_column;

typedef struct { double *ptr; u32 len; } tg_numbers;

/* The guest writes its contribution into `out` and returns how many numbers it wrote (at most TG_OUT). */
#define TG_OUT 4096
u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out);

static inline double tg_number(const tg_column *c, u32 i) {
    return c->kind == TG_F64S ? c->f64s[i] : c->kind == TG_S64S ? (double)c->s64s[i] : c->kind == TG_BOOLS ? c->bools[i] : 0.0;
}
static inline int tg_valid(const tg_column *c, u32 i) { return c->valid_len == 0 || c->valid[i]; }

#ifdef __wasi__
/* With a C library its allocator is the only one. */
#include <stdlib.h>
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
    (void)old_size, (void)align;
    return realloc(old, size);
}
#else
/* A bump allocator: an instance lives for one call. */
extern u8 __heap_base;
static u32 tg_top;
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
    u32 at = tg_top ? tg_top : (u32)&__heap_base;
    at = (at + align - 1) & ~(align - 1);
    tg_top = at + size;
    u32 have = (u32)__builtin_wasm_memory_size(0) << 16;
    if (tg_top > have && __builtin_wasm_memory_grow(0, (tg_top - have + 65535) >> 16) == (unsigned long)-1) __builtin_trap();
    u8 *to = (u8 *)at;
    for (u32 i = 0; i < old_size && i < size; i++) to[i] = ((u8 *)old)[i];
    return to;
}
#endif

/* The parameters that were signed with the job. Ask once. */
__attribute__((import_module("tidegate:job/host@0.1.0"), import_name("params"))) void tg_host_params(tg_bytes *into);
static inline tg_bytes tg_params(void) {
    tg_bytes params;
    tg_host_params(&params);
    return params;
}

/* The bytes that came with the program, the weights of a model: how many, and some of them (fewer where they end). */
__attribute__((import_module("tidegate:job/host@0.1.0"), import_name("data-len"))) u64 tg_data_len(void);
__attribute__((import_module("tidegate:job/host@0.1.0"), import_name("data"))) void tg_host_data(u64 offset, u32 len, tg_bytes *into);
static inline tg_bytes tg_data(u64 offset, u32 len) {
    tg_bytes data;
    tg_host_data(offset, len, &data);
    return data;
}

/* A line for the author, shown in rehearsal. */
__attribute__((import_module("tidegate:job/host@0.1.0"), import_name("log"))) void tg_log(const char *text, u32 len);

static double tg_out[TG_OUT];
static tg_numbers tg_result;
__attribute__((export_name("contribute"))) tg_numbers *tg_contribute(u32 rows, const tg_column *columns, u32 column_count) {
    tg_result.ptr = tg_out;
    tg_result.len = contribute(rows, columns, column_count, tg_out);
    return &tg_result;
}

#endif
