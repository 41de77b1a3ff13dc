"""The cases of a suite, as the scripts that time others on them read it."""

SIZES = "batch in_channels out_channels kernel_size stride padding dilation groups length".split()


class SuiteCase:
    """One row of a suite."""

    def __init__(self, row):
        self.name = row["name"]
        self.transposed = row.get("transposed", "0") == "1"
        for size in SIZES:
            setattr(self, size, int(row[size]))
        span = self.dilation * (self.kernel_size - 1) + 1
        if self.transposed:
            self.out_length = (self.length - 1) * self.stride + span - 2 * self.padding
        else:
            self.out_length = (self.length + 2 * self.padding - span) // self.stride + 1

    def elements(self):
        """Of an input and an output."""
        return self.batch * (self.in_channels * self.length + self.out_channels * self.out_length)
