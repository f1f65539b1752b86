/* One person's care: mean spending over their years, and whether any year passed 1000 dollars. Column 0: spending. */
#include "tidegate_guest.h"

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    double sum = 0.0, years = 0.0, heavy = 0.0;
    for (u32 i = 0; column_count > 0 && i < rows; i++) {
        if (!tg_valid(&columns[0], i)) continue;
        double v = tg_number(&columns[0], i);
        sum += v;
        years += 1.0;
        if (v > 1000.0) heavy = 1.0;
    }
    out[0] = years > 0.0 ? sum / years : 0.0;
    out[1] = heavy;
    return 2;
}
