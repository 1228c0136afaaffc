"""The table of the clients: what each did, each way.  Printed at the end, and written to build/clients.txt."""

import collections

WAYS = {"direct": "straight to the target", "plus": "alice+osv1@lodge", "jump": "-J alice@lodge"}
LODGE = ("plus", "jump")


class Matrix:
    def __init__(self):
        self.cells = collections.OrderedDict()  # (client, feature) -> {way: ("ok" | "FAIL" | "n/a", reason)}

    def add(self, client, feature, way, outcome, why=""):
        """The worst of several tests of one cell stays."""
        cell = self.cells.setdefault((client, feature), {})
        worst = ("n/a", "ok", "FAIL")
        if way not in cell or worst.index(outcome) > worst.index(cell[way][0]):
            cell[way] = (outcome, why)

    def clients(self):
        return list(dict.fromkeys(client for client, _ in self.cells))

    def features(self):
        return list(dict.fromkeys(feature for _, feature in self.cells))

    @staticmethod
    def word(cell):
        """Both of Lodge's ways in one word; a hole that the direct connection has too is none of Lodge's."""
        outcomes = {way: cell[way][0] for way in LODGE if way in cell}
        if not outcomes:
            return ""
        if len(set(outcomes.values())) == 1:
            return next(iter(outcomes.values()))
        short = {"plus": "`+`", "jump": "`-J`"}
        return ", ".join(f"{short[way]} {word}" for way, word in outcomes.items())

    def table(self):
        """In Markdown: client by feature."""
        features = self.features()
        lines = ["| client | " + " | ".join(features) + " |", "|---" * (len(features) + 1) + "|"]
        for client in self.clients():
            words = [self.word(self.cells.get((client, f), {})) for f in features]
            lines.append(f"| {client} | " + " | ".join(words) + " |")
        return lines

    def remarks(self):
        """What is not ok, and why."""
        lines = []
        for (client, feature), cell in self.cells.items():
            for way, (outcome, why) in cell.items():
                if outcome != "ok":
                    lines.append(f"{outcome:4} {client}, {feature}, {WAYS[way]}: {why}")
        return lines

    def text(self):
        counts = collections.Counter(outcome for cell in self.cells.values() for way, (outcome, _) in cell.items())
        closing = ", ".join(f"{counts[word]} {word}" for word in ("ok", "FAIL", "n/a"))
        return "\n".join([*self.table(), "", *self.remarks(), "", f"cells: {closing}", ""])
