#include "tidegate_guest.h"

/* The mean of the first column over these rows, and how many rows had it. */
u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    double sum = 0, count = 0;
    for (u32 row = 0; column_count > 0 && row < rows; row++) {
        if (!tg_valid(&columns[0], row)) continue;
        sum += tg_number(&columns[0], row);
        count += 1;
    }
    out[0] = count > 0 ? sum / count : 0;
    out[1] = count;
    return 2;
}
