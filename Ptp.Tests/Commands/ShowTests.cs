// ptp generate --show, --show-u, --html: the text stays the same, the rounds say what happened, the page is whole and harmless.
// Negative controls: a record that is altered in any of nine ways is found, and a text that u does not pick is refused.
// Not here: how the page looks. Random adapters are rarely right; kinds of tokens they never give are made by hand.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class ShowTests(TinyModels tiny)
{
    private const string Escape = "\u001b";

    // 6 seeds x 5 ways to decode, alternating laws.
    [Fact]
    public void Showing_changes_nothing_and_tells_what_happened()
    {
        var seen = new HashSet<string>();
        for (var seed = 0; seed < 6; seed++)
        {
            foreach (var way in Ways(seed))
            {
                string[] law = seed % 2 == 0 ? [] : ["--temperature", "0.2", "--top-k", "9", "--allow-other-law"];
                string[] args =
                [
                    "generate", "--model", tiny.Base, "--prompt", "The cat", "--max-new", "30", "--seed", $"{seed}", .. law, .. way,
                ];
                var plain = Json(args);
                var shown = Json([.. args, "--show"]);
                Assert.Null(RoundsCheck.Finding(shown));
                foreach (var name in (string[])["text", "token_ids", "stop", "prompt_tokens"])
                {
                    Assert.Equal(plain[name]!.ToJsonString(), shown[name]!.ToJsonString());
                }

                Assert.Equal(plain["stats"]!["rounds"]!.ToJsonString(), shown["stats"]!["rounds"]!.ToJsonString());
                Assert.Equal(plain["stats"]!["calls"]!.ToJsonString(), shown["stats"]!["calls"]!.ToJsonString());
                Assert.Null(plain["rounds_detail"]);
                seen.UnionWith(All(shown, "committed").Select(t => (string)t["origin"]!));
            }
        }

        Assert.Equal(["accepted", "bonus", "corrected", "plain"], seen.Order());
    }

    [Fact]
    public void A_stop_string_cuts_the_text_and_not_the_rounds()
    {
        string[] args = ["generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--slots", "4", "--prompt", "x", "--max-new", "40"];
        var whole = (string)Json(args)["text"]!;
        var cut = Json([.. args, "--show", "--stop", whole.Substring(whole.Length / 2, 2)]);
        Assert.Null(RoundsCheck.Finding(cut));
        Assert.Equal("stop_string", (string)cut["stop"]!);
        var end = CliRun.Of([.. args, "--show", "--stop", whole.Substring(whole.Length / 2, 2)]).Out;
        Assert.EndsWith("\n\n" + (string)cut["text"]! + "\n", end, StringComparison.Ordinal);
    }

    [Fact]
    public void Control_an_altered_record_is_found()
    {
        var result = Json(
            ["generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--slots", "3", "--prompt", "x", "--max-new", "20", "--show"]);
        Assert.Null(RoundsCheck.Finding(result));
        (string Name, Action<JsonNode, JsonNode> Alter)[] alterations =
        [
            ("another token", (_, token) => token["id"] = (int)token["id"]! ^ 1),
            ("u behind its cell", (_, token) => token["u"] = (double)token["right"]!),
            ("u before its cell", (_, token) => token["u"] = Math.BitDecrement((double)token["left"]!)),
            ("a wider cell", (_, token) => token["right"] = (double)token["right"]! + 0.01),
            ("an origin", (_, token) => token["origin"] = "bonus"),
            ("a forgotten rejection", (_, token) => token["rejected"] = null),
            ("a rejected token that was right", (round, token) => round["draft"]![0]!["id"] = (int)token["id"]!),
            ("a fate", (round, _) => round["draft"]![2]!["fate"] = "accepted"),
            ("a count", (round, _) => round["correct"] = 3),
        ];
        foreach (var (name, alter) in alterations)
        {
            var copy = result.DeepClone();
            var rounds = copy["rounds_detail"]!.AsArray();
            var round = rounds.First(r => r!["draft"]!.AsArray().Count == 3 && (string)r["committed"]![0]!["origin"]! == "corrected"
                && r["committed"]!.AsArray().Count < 3)!;
            alter(round, round["committed"]![0]!);
            Assert.True(RoundsCheck.Finding(copy) is not null, $"control: {name} went unnoticed");
        }

        result["rounds_detail"]!.AsArray().RemoveAt(0);
        Assert.NotNull(RoundsCheck.Finding(result));
    }

    // Branches and trees: an altered fate, path or count of slots is found, and the terminal and the page draw both.
    [Fact]
    public void Branches_and_trees_are_drawn_and_an_altered_one_is_found()
    {
        foreach (var decoder in (string[])["pqd", "tree"])
        {
            var path = tiny.At($"beside-{decoder}.html");
            string[] args =
            [
                "generate", "--model", tiny.Base, "--adapter", tiny.Categorical, "--decoder", decoder, "--budget", "12", "--prompt", "x",
                "--max-new", "20", "--show", "--html", path,
            ];
            var result = Json(args);
            Assert.Null(RoundsCheck.Finding(result));
            var altered = result.DeepClone();
            var round = altered["rounds_detail"]!.AsArray().First(r => r![decoder == "tree" ? "tree" : "branches"]!.AsArray().Count > 1)!;
            if (decoder == "tree")
            {
                round["tree"]![1]!["fate"] = (string)round["tree"]![1]!["fate"]! == "accepted" ? "rejected" : "accepted";
            }
            else
            {
                round["branches"]!.AsArray().RemoveAt(0);
            }

            Assert.NotNull(RoundsCheck.Finding(altered));
            Assert.Contains(decoder == "tree" ? "  tree 1  " : "  ahead  ", CliRun.Of(args).Out, StringComparison.Ordinal);
            var page = XDocument.Parse(File.ReadAllText(path));
            var (kind, name) = decoder == "tree" ? ("ul", "tree") : ("div", "dropped ahead");
            Assert.Contains(page.Descendants(), e => e.Name.LocalName == kind && (string?)e.Attribute("class") == name);
        }
    }

    [Fact]
    public void Control_a_text_that_u_does_not_pick_is_refused()
    {
        using var backend = new CpuBackend(1);
        var decoding = new Reference.Commands.Decoding(
            ModelChoice.Load(tiny.Base, null, backend), new SamplingOptions { TopP = 0.9 }, 5, 0, 12);
        var ids = decoding.Model.Encode("The cat");
        var rounds = new List<ShownRound>();
        decoding.Autoregressive().Decode(ids, decoding.U(), decoding.Limits, round =>
        {
            rounds.Add(ShownRound.Of(round, rounds.Count));
            return true;
        });
        using var progress = new Progress(new CliHost(TextWriter.Null, TextWriter.Null), "test");
        Assert.Equal(rounds.Count, PickReplay.Explain(decoding, ids, rounds, progress).Length);
        rounds[^1] = rounds[^1] with { Tokens = [rounds[^1].Tokens[0] ^ 1] };
        var error = Assert.Throws<PtpException>(() => PickReplay.Explain(decoding, ids, rounds, progress));
        Assert.Contains("which u picks", error.Expected, StringComparison.Ordinal);
    }

    [Fact]
    public void Kinds_follow_from_counts()
    {
        // Six drafted, four verified; the first was wrong and replaced, two more were right, the fourth was not.
        var round = new ShownRound(0, [9, 2, 3, 9, 5, 6], 4, [1, 2, 3, 4], 3);
        Assert.Equal([Origin.Corrected, Origin.Accepted, Origin.Accepted, Origin.Corrected], Enumerable.Range(0, 4).Select(round.OriginOf));
        Assert.Equal(
            [Fate.Rejected, Fate.Accepted, Fate.Accepted, Fate.Rejected, Fate.Unchecked, Fate.Unchecked],
            Enumerable.Range(0, 6).Select(round.FateOf));
        // All that was verified was right, and the rest was never looked at.
        round = new ShownRound(0, [1, 2, 3], 2, [1, 2, 7], 2);
        Assert.Equal(Origin.Bonus, round.OriginOf(2));
        Assert.Equal([2], round.Dropped);
        // An end token among the right ones cuts the others off.
        round = new ShownRound(0, [1, 2, 3], 3, [1, 2], 2);
        Assert.Equal([Origin.Accepted, Origin.Accepted], Enumerable.Range(0, 2).Select(round.OriginOf));
        Assert.Equal(Fate.Discarded, round.FateOf(2));
        Assert.Equal(Origin.Plain, new ShownRound(0, [], 0, [1], 0).OriginOf(0));
    }

    [Fact]
    public void Rejected_drafts_are_struck_through()
    {
        string[] args =
        [
            "generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--slots", "3", "--prompt", "x", "--max-new", "20", "--show-u",
        ];
        var plain = CliRun.Of(args);
        Assert.DoesNotContain(Escape, plain.Out, StringComparison.Ordinal);
        Assert.Contains("~", plain.Out, StringComparison.Ordinal);
        Assert.Contains(" in [", plain.Out, StringComparison.Ordinal);
        Assert.EndsWith("\n\n" + (string)Json(args)["text"]! + "\n", plain.Out, StringComparison.Ordinal);
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")))
        {
            var terminal = CliRun.Of(new CliHost(TextWriter.Null, TextWriter.Null) { OutIsTerminal = true }, args);
            Assert.Contains(Escape + "[9;31m", terminal.Out, StringComparison.Ordinal);
        }

        var notes = CliRun.Of([.. args, "--json"]);
        Assert.Contains("rounds and", notes.Error, StringComparison.Ordinal); // Of checks that standard output is one object
    }

    [Theory]
    [InlineData("permuted-cdf", true)]
    [InlineData("gumbel", false)]
    [InlineData("tree", false)]
    public void Rules_without_cells_show_probabilities(string rule, bool oneNumber)
    {
        string[] args = ["generate", "--model", tiny.Base, "--prompt", "x", "--max-new", "10", "--pick-rule", rule, "--show-u"];
        var result = Json(args);
        Assert.Null(RoundsCheck.Finding(result));
        var token = result["rounds_detail"]![0]!["committed"]![0]!;
        Assert.Equal(oneNumber, token["u"] is not null);
        Assert.Null(token["left"]);
        Assert.Contains(" p 0.", CliRun.Of(args).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ar", "inverse-cdf")]
    [InlineData("ptp", "inverse-cdf")]
    [InlineData("pqd", "inverse-cdf")]
    [InlineData("ar", "gumbel")]
    public void The_page_is_whole_and_counts_as_the_statistics_do(string decoder, string rule)
    {
        const string prompt = "<script>alert(1)</script> & \u0001\u001b[31m\u202e\ud800 \"x\"";
        var path = tiny.At($"{decoder}-{rule}.html");
        var result = Json([
            "generate", "--model", tiny.Base, "--adapter", decoder == "ar" ? "none" : tiny.Adapter, "--decoder", decoder,
            "--prompt", prompt, "--max-new", "24", "--temperature", "1.2", "--allow-other-law", "--html", path, "--show",
            .. decoder switch { "ar" => (string[])["--pick-rule", rule], "pqd" => ["--budget", "6"], _ => ["--slots", "3"] }]);
        Assert.Null(RoundsCheck.Finding(result));
        Assert.Equal(path, (string)result["html"]!);
        var text = File.ReadAllText(path);
        var page = XDocument.Parse(text, LoadOptions.PreserveWhitespace);
        Assert.DoesNotContain(text, c => char.IsControl(c) && c != '\n' && c != '\t');
        Assert.DoesNotContain("\u202e", text, StringComparison.Ordinal);
        Assert.DoesNotContain(page.Descendants(), e => e.Name.LocalName is "script" or "link" or "img");
        Assert.DoesNotContain(page.Descendants().Attributes(), a => a.Name.LocalName is "href" or "src"
            || a.Name.LocalName.StartsWith("on", StringComparison.Ordinal));
        // HTML closes only these by themselves; of anything else the rest of the page would become the content.
        Assert.All(page.Descendants().Where(e => e.IsEmpty), e => Assert.Contains(e.Name.LocalName, (string[])["meta", "rect", "path"]));

        string Value(string id) => page.Descendants().Single(e => (string?)e.Attribute("id") == id).Value;
        IEnumerable<XElement> Class(string name) => page.Descendants().Where(e => (string?)e.Attribute("class") == name);
        var stats = result["stats"]!;
        Assert.StartsWith("<script>alert(1)</script> & \\x01\\x1b[31m\\u{202e}\ufffd", Value("prompt"), StringComparison.Ordinal);
        Assert.Equal((int)stats["tokens"]!, int.Parse(Value("tokens"), CultureInfo.InvariantCulture));
        Assert.Equal((int)stats["rounds"]!, int.Parse(Value("rounds"), CultureInfo.InvariantCulture));
        Assert.Equal((int)stats["calls"]! + (int)stats["drafter_calls"]!, int.Parse(Value("calls"), CultureInfo.InvariantCulture));
        Assert.Equal(((double)stats["accepted_per_round"]!).ToString("0.00", CultureInfo.InvariantCulture), Value("accepted-per-round"));
        Assert.Equal(((double)stats["tokens_per_call"]!).ToString("0.00", CultureInfo.InvariantCulture), Value("tokens-per-call"));
        Assert.Equal((decoder, rule), (Value("decoder"), Value("pick-rule")));
        Assert.Equal((int)stats["rounds"]!, Class("round").Count());
        Assert.Equal((int)stats["tokens"]!, Class("slot").Count());
        Assert.Equal(rule == "inverse-cdf", page.Descendants().Any(e => e.Name.LocalName == "svg"));
        var rejected = All(result, "draft").Count(d => (string)d["fate"]! == "rejected");
        Assert.Equal(rejected, Class("slots").Descendants().Count(e => (string?)e.Attribute("class") == "token rejected"));
    }

    [Fact]
    public void A_page_that_cannot_be_written_is_refused_before_decoding()
    {
        foreach (var path in (string[])[Path.Combine(tiny.Text, "x.html"), tiny.Base, ""])
        {
            CliRun.Refuses("a folder that can be written", "generate", "--model", tiny.Base, "--prompt", "a", "--html", path);
        }

        var old = tiny.At("old.html");
        File.WriteAllText(old, "old");
        CliRun.Refuses("no folder", "generate", "--model", tiny.At("nowhere"), "--prompt", "a", "--html", old);
        Assert.Equal("old", File.ReadAllText(old));
        Assert.Single(Directory.GetFiles(tiny.At(""), "old.html*"));
    }

    [Seeds(300)]
    public void Few_digits_still_show_where_u_lies(int seed)
    {
        var random = new Random(seed);
        var u = random.Next(Cell.Grid) / (double)Cell.Grid;
        var width = Math.Pow(10, -7 * random.NextDouble());
        var left = Math.Max(0, u - width * random.NextDouble());
        var own = new CellBounds(left, Math.Min(1, Math.Max(left + width, u + 1e-8)));
        var (at, cell) = UnitText.Of(u, own);
        var edges = cell.Trim('[', ')').Split(", ").Select(e => double.Parse(e, CultureInfo.InvariantCulture)).ToList();
        var shown = double.Parse(at, CultureInfo.InvariantCulture);
        Assert.True(edges[0] <= shown && shown < edges[1], $"{at} in {cell}");
        Assert.Contains('|', RoundsText.Bar(u, own));
        var other = own.Right < 1 ? new CellBounds(own.Right, 1) : new CellBounds(0, own.Left);
        var (_, outside) = UnitText.Of(u, other);
        edges = [.. outside.Trim('[', ')').Split(", ").Select(e => double.Parse(e, CultureInfo.InvariantCulture))];
        Assert.False(edges[0] < shown && shown < edges[1] && other.Width > 0, $"{at} outside {outside}");
    }

    [Theory]
    [InlineData("a b", "a b")]
    [InlineData("\n\t\r\u001b\u0085", "\\n\\t\\r\\x1b\\x85")]
    [InlineData("\u202e\u2028\ufeff", "\\u{202e}\\u{2028}\\u{feff}")]
    [InlineData("\ud83d\ude00\u200d\u00e9", "\ud83d\ude00\u200d\u00e9")]
    public void Texts_that_would_act_are_seen_instead(string text, string expected) => Assert.Equal(expected, TokenNames.Visible(text));

    private IEnumerable<string[]> Ways(int seed) =>
    [
        ["--adapter", tiny.Adapter, "--decoder", "ar"],
        ["--adapter", tiny.Adapter, "--decoder", "ptp", "--slots", $"{1 + seed % 6}"],
        ["--adapter", tiny.Student, "--slots", $"{1 + seed % 3}"],
        ["--adapter", tiny.Categorical, "--slots", $"{1 + seed % 6}"],
        ["--adapter", tiny.Categorical, "--decoder", "pqd", "--budget", $"{2 + seed}"],
        ["--adapter", tiny.Categorical, "--decoder", "tree", "--budget", $"{2 + seed}"],
    ];

    private static IEnumerable<JsonNode> All(JsonNode result, string name) =>
        result["rounds_detail"]!.AsArray().SelectMany(r => r![name]!.AsArray()).Select(t => t!);

    private static JsonNode Json(string[] args) => JsonNode.Parse(CliRun.Result(args).GetRawText())!;
}
