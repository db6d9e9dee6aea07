// The readers of reference vectors read what NumPy wrote.
// Source: shapes as the data's own description states them.
// Not here: the vectors' meaning; the tests of each operator compare with them.

using Xunit;

namespace Ptp.Tests;

public sealed class TestDataTests
{
    [DataFact("vectors/cs336")]
    public void Every_archive_is_read()
    {
        foreach (var path in Directory.GetFiles(TestData.Path("vectors/cs336"), "*.npz"))
        {
            var arrays = NpzFile.Read(path);
            Assert.NotEmpty(arrays);
            Assert.All(arrays.Values, array => Assert.All(array.Values, value => Assert.True(double.IsFinite(value))));
        }
    }

    [DataFact("vectors/llama2c")]
    public void Logits_have_the_shape_that_was_promised()
    {
        var logits = NpyFile.Read(TestData.Path("vectors/llama2c/stories260K.greedy200.logits.f32.npy"));
        Assert.Equal([201, 512], logits.Shape);
        Assert.All(logits.Values, value => Assert.True(double.IsFinite(value)));
    }

    [Fact]
    public void A_foreign_file_is_refused() =>
        Assert.Throws<InvalidDataException>(() => NpyFile.Parse([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));

    [Fact]
    public void Absent_data_gives_a_reason() =>
        Assert.NotNull(TestData.Reason(["no/such/folder"]));
}
