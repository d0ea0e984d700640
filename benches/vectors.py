"""What the scripts about embeddings share: cosines, and the table of rates."""

import statistics


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def cosine(a, b):
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def table(title, rates, own, columns=None):
    """Prints the median, the range and by how much the row `own` is ahead, for each row of rates;
    `columns` are more cells by name and row, which go first."""
    columns = columns or {}
    print(f"| {title} | {''.join(f'{name} | ' for name in columns)}median | from | to "
          f"| {own} / it |")
    print(f"|---|{'--:|' * (len(columns) + 4)}")
    mine = statistics.median(rates[own])
    for name, found in rates.items():
        middle = statistics.median(found)
        cells = [cells[name] for cells in columns.values()]
        cells += [f"{middle:.1f}", f"{min(found):.1f}", f"{max(found):.1f}", f"{mine / middle:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")
