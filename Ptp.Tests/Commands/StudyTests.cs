// ptp study: the trip language's exact law, and every study at a look's effort: it runs, goes on where it was, and writes table and plot.
// Source: TripLanguage's equation; studies are measured in docs/08, not here.
// Not here: whether the figures are good, which needs hours and not seconds.

using System.Xml.Linq;
using Ptp.Core;
using Ptp.Core.Paper;
using Ptp.Reference.Studies;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class StudyTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-study-").FullName;

    [Fact]
    public void The_law_of_trips_is_a_law_with_a_memory()
    {
        var random = new RandomStream(1, "law of trips");
        var counts = new double[TripLanguage.Zones];
        for (var i = 0; i < 200; i++)
        {
            var trip = TripLanguage.Trip(random, 20);
            Assert.Equal(TripLanguage.Begin, trip[0]);
            for (var k = 0; k <= 20; k++)
            {
                var law = TripLanguage.Law(trip.AsSpan(1, k));
                Assert.Equal(1, law.Sum(), 1e-12);
                Assert.All(law, p => Assert.True(p > 0));
            }

            // Home and the zone of eight steps ago matter; one in between does not.
            var changed = TripLanguage.Law(trip.AsSpan(1, 20)).ToArray();
            foreach (var (place, matters) in ((int, bool)[])[(1, true), (13, true), (20, true), (16, false)])
            {
                var other = (int[])trip.Clone();
                other[place] = (other[place] + 7) % TripLanguage.Zones;
                Assert.Equal(matters, TripLanguage.Law(other.AsSpan(1, 20)).Zip(changed).Any(p => Math.Abs(p.First - p.Second) > 1e-9));
            }

            counts[trip[1]]++;
        }

        // The sampler follows the law: the first zones against theirs, chi-square with a false alarm of 1e-9.
        var first = TripLanguage.Law([]);
        var chi = counts.Select((c, zone) => Math.Pow(c - 200 * first[zone], 2) / (200 * first[zone])).Sum();
        Assert.True(chi < 25 + 2 * Math.Sqrt(25 * 20.7) + 2 * 20.7, $"{chi}");
        Assert.Throws<PtpException>(() => TripLanguage.Law([25]));
        Assert.InRange(Math.Exp(TripLanguage.Nats(Enumerable.Range(0, 300).Select(_ => TripLanguage.Trip(random, 30)))), 15, 22);
    }

    [Theory]
    [InlineData("horizon", "O-PTP / best independent")]
    [InlineData("iat", "/ autoregressive")]
    [InlineData("candidates", "longest match")]
    [InlineData("joint", "C-PTP by inversion, race")]
    [InlineData("losses", "| student |")]
    [InlineData("embeddings", "| thermometer:32 |")]
    [InlineData("beta", "| 0.5 |")]
    [InlineData("pick-rules", "| race:26 | 26 |")]
    [InlineData("draft-size", "the base with an adapter")]
    [InlineData("incompatible", "| independent, Pick |")]
    [InlineData("pqd", "greedy split as printed |")]
    [InlineData("flow-head", "| Gaussian copula | 136 |")]
    [InlineData("verification", "| ratio | law |")]
    [InlineData("induction", "| 2 |")]
    [InlineData("polynomials", "| 3 |")]
    [InlineData("hydra", "| hydra / medusa |")]
    [InlineData("medusa-2", "| medusa-2 / medusa-1 |")]
    [InlineData("mtp-depth", "(Nemotron)")]
    [InlineData("coupling", "| shared u, ids permuted |")]
    public void A_study_runs_and_goes_on(string name, string row)
    {
        string[] call = ["study", name, "--output", _folder, "--effort", "0.0005"];
        var first = CliRun.Result(call);
        var table = File.ReadAllText(first.GetProperty("table").GetString()!);
        Assert.Contains(row, table, StringComparison.Ordinal);
        Assert.NotEmpty(XDocument.Load(first.GetProperty("plot").GetString()!).Descendants());
        var written = Directory.GetFiles(_folder, "*.safetensors", SearchOption.AllDirectories).ToDictionary(f => f, File.GetLastWriteTimeUtc);
        CliRun.Result(call);
        if (name is not ("draft-size" or "pqd" or "verification" or "flow-head")) // those tables hold times
        {
            Assert.Equal(table, File.ReadAllText(first.GetProperty("table").GetString()!)); // the same models, hence the same figures
        }

        Assert.All(written, f => Assert.Equal(f.Value, File.GetLastWriteTimeUtc(f.Key)));
        CliRun.Refuses("effort", "study", name, "--output", _folder, "--effort", "0.001");
    }

    [Fact]
    public void Unknown_studies_and_efforts_are_refused()
    {
        CliRun.Refuses("horizon", "study", "nothing", "--output", _folder);
        CliRun.Refuses("effort", "study", "horizon", "--output", Path.Combine(_folder, "x"), "--effort", "0");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
