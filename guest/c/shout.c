/* Hostile: returns more numbers than the job declares when it meets a rare value. */
#include "tidegate_guest.h"

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    for (u32 i = 0; column_count > 0 && i < rows; i++)
        if (tg_number(&columns[0], i) > 20000.0) return TG_OUT;
    out[0] = out[1] = 0.0;
    return 2;
}
