/* Mean risk: a logistic score of each row's numbers, averaged over the rows of a person. The weights are the job's parameters: text, one number a column and
   the intercept last, with spaces between. Contribution: the person's mean risk, and whether any row passed one half. */
#include "tidegate_guest.h"

/* e^x for x in [-40, 40]: by squaring e^(x/1024) from its series. */
static double exponential(double x) {
    x = x > 40 ? 40 : x < -40 ? -40 : x;
    double y = x / 1024, e = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)));
    for (int i = 0; i < 10; i++) e *= e;
    return e;
}

static u32 numbers(const u8 *text, u32 len, double *out, u32 most) {
    u32 found = 0;
    for (u32 i = 0; i < len && found < most;) {
        while (i < len && text[i] == ' ') i++;
        if (i >= len) break;
        double sign = 1, value = 0, step = 1;
        if (text[i] == '-') { sign = -1; i++; }
        for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) value = value * 10 + (text[i] - '0');
        if (i < len && text[i] == '.')
            for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++) value += (text[i] - '0') * (step /= 10);
        while (i < len && text[i] != ' ') i++;
        out[found++] = sign * value;
    }
    return found;
}

u32 contribute(u32 rows, const tg_column *columns, u32 column_count, double *out) {
    static double weights[64];
    tg_bytes text = tg_params();
    u32 have = numbers(text.ptr, text.len, weights, 64), whole = 0;
    double sum = 0, above = 0;
    for (u32 row = 0; row < rows; row++) {
        double logit = have > column_count ? weights[column_count] : 0;
        u32 seen = 0;
        for (u32 c = 0; c < column_count && c < have && tg_valid(&columns[c], row); c++, seen++)
            logit += weights[c] * tg_number(&columns[c], row);
        if (seen < column_count) continue;
        double risk = 1 / (1 + exponential(-logit));
        sum += risk;
        if (risk > 0.5) above = 1;
        whole++;
    }
    out[0] = whole ? sum / whole : 0;
    out[1] = above;
    return 2;
}
