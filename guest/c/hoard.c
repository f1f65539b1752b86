/* Hostile: takes all the memory it can. */
#include "tidegate_guest.h"

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    for (;;) {
        volatile u8 *page = cabi_realloc(0, 0, 8, 1 << 20);
        page[0] = 1;
    }
}
