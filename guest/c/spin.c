/* Hostile: never ends. */
#include "tidegate_guest.h"

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    for (volatile u32 i = 0;; i++) {
    }
}
