// The guess of Pick under a law that is only nearly right: softness 0 is Pick, a large softness the likeliest token, and in
// between it is right more often than either where the law is a mean of those that may be true, as learned laws are. Guesses are for drafts, so only their rate matters; verification is exact.
// Not here: laws of trained models; docs/LOG.md has those.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class PickGuessTests
{
    // 400 generated laws, from flat to spiky.
    [Fact]
    public void Softness_goes_from_Pick_to_the_likeliest_token() => Cases.RunSeeds(400, seed =>
    {
        var law = Laws.Generate(seed);
        var u = (float)new RandomStream((ulong)seed, "u").NextInt(Cell.Grid) / Cell.Grid;
        Assert.Equal(Pick.Token(u, law), InverseCdf.Instance.Guess([u], law, 0, out var confidence));
        Assert.Equal(law[Pick.Token(u, law)], confidence);
        foreach (var softness in (double[])[1e-3, 0.1, 1])
        {
            var token = InverseCdf.Instance.Guess([u], law, softness, out confidence);
            Assert.True(law[token] > 0, "an impossible token");
            Assert.InRange(confidence, 0, 1.000001f);
        }

        // At u = 1/2 the borders' errors are symmetric; so large a softness sees widths only.
        Assert.InRange(law[InverseCdf.Instance.Guess([0.5f], law, 1e3, out _)], 0.99f * law.Max(), law.Max());
    });

    [Fact]
    public void It_is_right_more_often_than_Pick_and_than_the_likeliest_token()
    {
        // What a drafter that does not know everything learns is the mean of the laws that may be true: here of four.
        var random = new RandomStream(7, "mixed laws");
        var transform = new LogitsTransform(new SamplingOptions { Temperature = 0.7, TopP = 0.9 }, 40);
        var (pick, guess, likeliest) = (0, 0, 0);
        const int Trials = 20_000;
        for (var trial = 0; trial < Trials; trial++)
        {
            float[] common = [.. Enumerable.Range(0, 40).Select(_ => (float)(2 * random.NextGaussian()))];
            var laws = Enumerable.Range(0, 4).Select(_ =>
            {
                float[] law = [.. common.Select(x => x + (float)(2 * random.NextGaussian()))];
                transform.ToLaw(law, law);
                return law;
            }).ToArray();
            float[] mean = [.. Enumerable.Range(0, 40).Select(i => laws.Sum(law => law[i]) / 4)];
            var u = (float)random.NextInt(Cell.Grid) / Cell.Grid;
            var truth = Pick.Token(u, laws[0]);
            pick += Pick.Token(u, mean) == truth ? 1 : 0;
            guess += InverseCdf.Instance.Guess([u], mean, 0.1, out _) == truth ? 1 : 0;
            likeliest += InverseCdf.Instance.Guess([u], mean, 1e3, out _) == truth ? 1 : 0;
        }

        // One standard deviation of such a difference is about 0.4 % of the trials.
        Assert.True(guess > pick + 0.008 * Trials, $"{guess} against {pick} and {likeliest}");
        Assert.True(guess > likeliest + 0.008 * Trials, $"{guess} against the likeliest token's {likeliest}");
    }
}
