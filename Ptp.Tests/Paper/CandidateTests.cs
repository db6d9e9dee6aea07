// Property 20, candidates: the central candidate's text has the model's law; the longest match's has not, and is the control.
// A drafter of three tokens that is right about the likely ones makes the bias; 30,000 rounds of 4 candidates, chi-square at 1e-9.
// Also: central candidates are drafted better, which is what they are for.

using Ptp.Core;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class CandidateTests
{
    private const int Rounds = 30_000;
    private const double LogAlarm = 20.723; // ln 1e9
    private static readonly float[] s_first = [0.5f, 0.3f, 0.2f];
    private static readonly float[][] s_second = [[0.2f, 0.2f, 0.6f], [0.7f, 0.1f, 0.2f], [0.3f, 0.3f, 0.4f]];
    private static readonly float[] s_firstDrafted = [0.6f, 0.25f, 0.15f];
    private static readonly float[] s_secondDrafted = [0.35f, 0.2f, 0.45f]; // knows nothing of the first token

    [Fact]
    public void The_central_candidate_keeps_the_law_and_the_longest_match_does_not()
    {
        var limit = 8 + 2 * Math.Sqrt(8 * LogAlarm) + 2 * LogAlarm;
        var (one, correctOfOne) = Kept(CandidateChoice.Parse("central"), 1);
        var (central, correctOfCentral) = Kept(CandidateChoice.Parse("central"), 4);
        var (longest, _) = Kept(CandidateChoice.Parse("biased:longest-match"), 4);
        Assert.True(ChiSquare(one) <= limit && ChiSquare(central) <= limit, $"{ChiSquare(one)}, {ChiSquare(central)} over {limit}");
        Assert.True(ChiSquare(longest) > limit, $"control: {ChiSquare(longest)}");
        Assert.True(correctOfCentral > 1.05 * correctOfOne, $"{correctOfCentral} against {correctOfOne}");
        Assert.True(CandidateChoice.Parse("central").KeepsLaw && !CandidateChoice.Parse("biased:longest-match").KeepsLaw);
    }

    [Fact]
    public void A_biased_choice_must_be_called_so()
    {
        Assert.Contains("biased", Assert.Throws<PtpException>(() => CandidateChoice.Parse("longest-match")).WayOut, StringComparison.Ordinal);
        Assert.Throws<PtpException>(() => CandidateChoice.Parse("best"));
    }

    private static (int[] Counts, double Correct) Kept(CandidateChoice choice, int candidates)
    {
        var (random, counts, correct) = (new RandomStream(5, "candidates"), new int[9], 0.0);
        for (var round = 0; round < Rounds; round++)
        {
            var (places, matches, pairs) = (new List<double[]>(), new List<int>(), new List<int>());
            for (var m = 0; m < candidates; m++)
            {
                var (u, v) = (random.NextInt(Cell.Grid) / (float)Cell.Grid, random.NextInt(Cell.Grid) / (float)Cell.Grid);
                var a = Pick.Token(u, s_first);
                var b = Pick.Token(v, s_second[a]);
                places.Add([CandidateChoice.Place(u, s_first), CandidateChoice.Place(v, s_second[a])]);
                matches.Add(Pick.Token(u, s_firstDrafted) != a ? 0 : Pick.Token(v, s_secondDrafted) != b ? 1 : 2);
                pairs.Add(3 * a + b);
            }

            var kept = choice.Choose(places, matches);
            counts[pairs[kept]]++;
            correct += matches[kept] / (double)Rounds;
        }

        return (counts, correct);
    }

    private static double ChiSquare(int[] counts) => counts.Select((count, pair) =>
    {
        var expected = (double)Rounds * s_first[pair / 3] * s_second[pair / 3][pair % 3];
        return (count - expected) * (count - expected) / expected;
    }).Sum();
}
