// ptp compare on tiny models: a row per system and temperature, every promise checked and kept, figures that obey their definitions,
// the same in Markdown and in the chart; without a text the built-in prompts. Controls: other texts, and a drafter that lies about the law it drew from, are found out,
// and a head that cannot be read stops those who ask for it alone. Not here: whether a system is any good, which needs a trained model (docs/09-family.md).

using System.Globalization;
using System.Xml.Linq;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class CompareTests(TinyModels models)
{
    private const string PromptTokens = "6";

    private string[] Call(params string[] more) =>
    [
        "compare", "--model", models.Base, "--adapter", models.Categorical, "--adapters", models.Adapters, "--heads", models.Heads, "--drafts", models.Drafts,
        "--data", models.Text, "--prompts", "2", "--prompt-tokens", PromptTokens, "--max-new", "12", "--nodes", "8", .. more,
    ];

    [Fact]
    public void Every_system_has_a_row_per_temperature_and_keeps_its_promise()
    {
        var rows = CliRun.Result(Call("--temperatures", "0", "0.7")).EnumerateArray().ToList();
        Assert.Equal(2 * FamilySystem.All.Count, rows.Count);
        Assert.Equal(FamilySystem.All.Select(s => s.Name), rows.Take(FamilySystem.All.Count).Select(r => r.GetProperty("name").GetString()));
        foreach (var row in rows)
        {
            double At(string name) => row.GetProperty(name).GetDouble();
            var (guarantee, greedy) = (row.GetProperty("guarantee").GetString(), At("temperature") == 0);
            bool? kept = guarantee is "none" || (guarantee is "greedy" && !greedy) ? null : true;
            Assert.Equal(kept, row.GetProperty("guarantee_holds") is { ValueKind: not System.Text.Json.JsonValueKind.Null } holds
                ? holds.GetBoolean() : null);
            Assert.True(At("accepted_per_round") >= 1 && At("accepted_per_round") >= At("correct_per_round"));
            Assert.Equal(At("accepted_per_round"), At("tokens_per_call") * At("calls_per_round"), 1e-9);
            Assert.True(At("rows_per_call") >= 1 && At("ms_per_token") > 0 && At("speedup") > 0);
        }

        Assert.All(rows.Where(r => r.GetProperty("name").GetString() == FamilySystem.Plain),
            r => Assert.Equal(1, r.GetProperty("speedup").GetDouble()));
    }

    [Fact]
    public void Systems_are_chosen_by_name_and_without_an_adapter_some_are_missing()
    {
        var rows = CliRun.Result(
            "compare", "--model", models.Base, "--data", models.Text, "--prompts", "1", "--prompt-tokens", "6", "--max-new", "12",
            "--nodes", "8", "--temperatures", "1", "--paying", "--systems", "rest", "ptp").EnumerateArray();
        Assert.Equal([FamilySystem.Plain, "rest"], rows.Select(r => r.GetProperty("name").GetString()));
        CliRun.Refuses("lookahead", Call("--systems", "lookahed"));
        CliRun.Refuses("temperatures", Call("--temperatures", "warm"));
        CliRun.Refuses("longer", [.. Call().Select(a => a == PromptTokens ? "100000" : a)]);
    }

    [Fact]
    public void Off_a_terminal_the_table_is_markdown_and_the_chart_has_a_bar_per_row()
    {
        var (table, chart) = (models.At("compare.md"), models.At("compare.svg"));
        string[] systems = ["token recycling, typical", "speculative 525k, ratio", "jacobi, greedy prefix"];
        var run = CliRun.Of(Call(["--temperatures", "0", "1", "--systems", .. systems, "--output", table, "--svg", chart]));
        Assert.Equal(0, run.Code);
        Assert.Equal(run.Out, File.ReadAllText(table));
        var rows = run.Out.Split('\n').Where(line => line.StartsWith('|')).Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries)).ToList();
        Assert.Equal(2 + 2 * 4, rows.Count); // head and rule
        Assert.All(rows, cells => Assert.Equal(rows[0].Length, cells.Length));
        Assert.Equal(systems.Append(FamilySystem.Plain).Order(StringComparer.Ordinal), rows.Skip(2).Select(r => r[0]).Distinct().Order(StringComparer.Ordinal));

        var svg = XDocument.Parse(File.ReadAllText(chart)).Root!;
        var bars = svg.Elements().Where(e => e.Name.LocalName == "rect").Skip(4).ToList(); // behind the legend's four
        Assert.Equal(2 * 4, bars.Count);
        Assert.Equal(4, bars.Select(b => b.Attribute("fill")!.Value).Distinct().Count()); // one system of each promise
        var lengths = bars.Select(b => double.Parse(b.Attribute("width")!.Value, CultureInfo.InvariantCulture)).ToList();
        var accepted = rows.Skip(2).Select(r => double.Parse(r[3], CultureInfo.InvariantCulture)).ToList();
        Assert.Equal(accepted.Max() / accepted.Min(), lengths.Max() / lengths.Min(), 0.02);
        CliRun.Refuses("folder", Call("--svg", models.Heads));
    }

    [Fact]
    public void Without_a_text_the_built_in_prompts_are_continued()
    {
        string[] call = ["compare", "--model", models.Base, "--max-new", "8", "--nodes", "4", "--temperatures", "0.7", "--systems", "rest", "sam"];
        var run = CliRun.Of([.. call, "--json"]);
        Assert.Equal(0, run.Code);
        Assert.Contains("built-in", run.Error, StringComparison.Ordinal);
        Assert.Equal([FamilySystem.Plain, "sam"], run.Json.EnumerateArray().Select(r => r.GetProperty("name").GetString())); // REST has no corpus
        Assert.InRange(run.Json[0].GetProperty("tokens").GetInt32(), DemoVerb.BuiltInPrompts.Count, 8 * DemoVerb.BuiltInPrompts.Count);
    }

    [Fact]
    public void Only_the_heads_that_are_asked_for_are_read()
    {
        var heads = models.At("one-broken-head");
        var broken = models.Copy(Path.Combine(models.Heads, "hydra"), "one-broken-head/hydra");
        File.WriteAllText(Path.Combine(broken, HeadFolder.ManifestName), "{");
        string[] call = [.. Call().Select(a => a == models.Heads ? heads : a), "--temperatures", "0", "--systems"];
        Assert.Equal(2, CliRun.Result([.. call, "jacobi"]).GetArrayLength());
        CliRun.Refuses(HeadFolder.ManifestName, [.. call, "hydra"]);
    }

    [Fact]
    public void Control_a_broken_promise_is_found_out()
    {
        using var backend = new CpuBackend(1);
        var warm = new SamplingOptions { Temperature = 1 };
        var path = FamilySystem.All.First(s => s.Guarantee == Guarantee.Path);
        var law = FamilySystem.All.First(s => s.Guarantee == Guarantee.Law);
        Assert.False(path.Holds(warm, false, backend));
        Assert.True(law.Holds(warm, false, backend));
        Assert.False(law.Holds(SamplingOptions.Greedy, false, backend));
        Assert.False((law with { Tiny = language => new Claimant(language) }).Holds(warm, false, backend));
    }

    /// <summary>Always proposes token 0, and claims to have drawn it from the small model's law.</summary>
    private sealed class Claimant(LawEnumeration language) : ITreeDrafter
    {
        private readonly ModelDrafter _inner = new(language.Small, LawEnumeration.V, language.Law, InverseCdf.Instance, [1, 1], draws: true);

        public int Slots => _inner.Slots;

        public void Start(IReadOnlyList<int> prompt) => _inner.Start(prompt);

        public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
        {
            var tree = _inner.Propose(session, u, g, nodes, depth);
            var tokens = new int[tree.Count]; // but for the root all 0
            tokens[0] = tree.Tokens[0];
            return new DraftTree(tokens, tree.Parents, tree.Depths) { RootIsCommitted = tree.RootIsCommitted, Laws = tree.Laws };
        }
    }
}
