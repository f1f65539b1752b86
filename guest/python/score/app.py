"""A histogram of a derived score: how burdened a person is, from chronic diseases, visits and stays over the years. The job bins it (reducer `histogram`).

Columns: diseases, visits, admissions. Contribution: the score's mean over the person's years, from 0 to 10, and the years it was made of.
"""
import wit_world
from tidegate import log, number


class WitWorld(wit_world.WitWorld):
    def contribute(self, rows) -> list[float]:
        scores = []
        for row in range(rows.len):
            diseases, visits, stays = (number(column, row) for column in rows.columns)
            if None not in (diseases, visits, stays):
                scores.append(min(10.0, diseases / 6 + visits / 10 + 2 * stays))
        mean = sum(scores) / len(scores) if scores else 0.0
        log(f"{len(scores)} years, score {mean:.1f}")
        return [mean, float(len(scores))]
