/* Hostile: looks for one person by a value and tries to carry their row out in the contribution. */
#include "tidegate_guest.h"

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    out[0] = 0.0;
    out[1] = 0.0;
    for (u32 i = 0; column_count > 0 && i < rows; i++) {
        double v = tg_number(&columns[0], i);
        if (v > 20000.0) {
            out[0] = v * 1e9; /* shout the value */
            out[1] = 1e300;
        }
    }
    return 2;
}
