/* The spread of a person's numbers, by the C library: how far the median lies from the mean, and the logarithm of the largest. Rows without a number are left out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../tidegate_guest.h"

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    double *numbers = malloc((rows + 1) * sizeof *numbers), sum = 0;
    u32 n = 0;
    for (u32 row = 0; row < rows && column_count > 0; row++)
        if (tg_valid(&columns[0], row)) sum += numbers[n++] = tg_number(&columns[0], row);
    qsort(numbers, n, sizeof *numbers, ascending);
    out[0] = n ? fabs(numbers[n / 2] - sum / n) : 0;
    out[1] = n ? log1p(numbers[n - 1]) : 0;
    char line[80];
    snprintf(line, sizeof line, "%u of %u rows, of %s", n, rows, getenv("HOME") ? getenv("HOME") : "nobody");
    puts(line);
    free(numbers);
    return 2;
}
