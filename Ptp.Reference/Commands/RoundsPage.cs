// Rounds as one HTML page that needs nothing else (no script, no network), after the paper's figure 1: a row per round with the
// context, and for each place the draft token, what was committed, and the line [0, 1) with the token's cell and u on it (Eq. 2).
// Refuses: markup from texts; elements are built as a tree, so every text is escaped, and the page is well-formed XML too.

using System.Globalization;
using System.Xml.Linq;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>What a page says above its rounds.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Text">The generated text.</param>
/// <param name="Facts">Names and values, such as the seed.</param>
/// <param name="Stats">The totals.</param>
internal sealed record PageHead(string Prompt, string Text, IReadOnlyList<(string Name, string Value)> Facts, DecodeStats Stats);

/// <summary>Draws rounds as HTML.</summary>
internal static class RoundsPage
{
    private const int ContextLength = 60;
    private const int LongestWord = 16;
    private const int BarWidth = 120;
    private static readonly XNamespace s_html = "http://www.w3.org/1999/xhtml";
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    /// <summary>The page.</summary>
    /// <param name="head">What it says above the rounds.</param>
    /// <param name="rounds">All rounds.</param>
    /// <param name="facts">Why each token was picked, in order.</param>
    /// <param name="names">Names of tokens.</param>
    /// <param name="stream">Turns committed tokens into the context of the next round.</param>
    public static string Draw(
        PageHead head, IReadOnlyList<ShownRound> rounds, PickFacts[] facts, TokenNames names, Core.Text.StreamingDecoder stream)
    {
        var rows = new XElement(s_html + "main");
        var context = TokenNames.Visible(head.Prompt);
        foreach (var (index, round) in rounds.Index())
        {
            rows.Add(Row(index + 1, Shortened(context), round, facts, names), "\n");
            context = Shortened(context + TokenNames.Visible(string.Concat(round.Tokens.Select(stream.Append))), ContextLength * 2);
        }

        const string title = "Parallel Token Prediction, round by round";
        var page = new XElement(
            s_html + "html", new XAttribute("lang", "en"),
            new XElement(
                s_html + "head", new XElement(s_html + "meta", new XAttribute("charset", "utf-8")),
                Meta("viewport", "width=device-width, initial-scale=1"), Meta("color-scheme", "light dark"),
                new XElement(s_html + "title", title), new XElement(s_html + "style", RoundsStyle.Css)),
            "\n",
            new XElement(
                s_html + "body", new XElement(s_html + "h1", title), "\n", Facts(head), "\n", Legend(rounds, facts), "\n", rows, "\n",
                Element("h2", "", "Text"),
                Element(
                    "p", "text", Element("span", "prompt", NotEmpty(TokenNames.Visible(head.Prompt, keepLines: true))),
                    TokenNames.Visible(head.Text, keepLines: true))));
        return "<!DOCTYPE html>\n" + page.ToString(SaveOptions.DisableFormatting) + "\n";
    }

    private static XElement Facts(PageHead head)
    {
        var (stats, list) = (head.Stats, new XElement(s_html + "dl"));
        void Add(string name, string value) => list.Add(Element(
            "div", "", Element("dt", "", name), new XElement(s_html + "dd", new XAttribute("id", name.Replace(' ', '-')), value)));
        Add("prompt", TokenNames.Visible(head.Prompt) is { Length: > 0 } prompt ? prompt : "(none)");
        foreach (var (name, value) in head.Facts)
        {
            Add(name, TokenNames.Visible(value));
        }

        Add("tokens", Invariant($"{stats.Tokens}"));
        Add("rounds", Invariant($"{stats.Rounds}"));
        Add("calls", Invariant($"{stats.Calls + stats.DrafterCalls}"));
        Add("accepted per round", Invariant($"{stats.AcceptedPerRound:0.00}"));
        Add("tokens per call", Invariant($"{stats.TokensPerCall:0.00}"));
        return list;
    }

    /// <summary>What the kinds of tokens mean that occur.</summary>
    private static XElement Legend(IReadOnlyList<ShownRound> rounds, PickFacts[] facts)
    {
        var kinds = rounds.SelectMany(r => Enumerable.Range(0, r.Tokens.Length).Select(i => RoundsJson.Word(r.OriginOf(i)))
            .Concat(Enumerable.Range(0, r.Draft.Length).Select(j => RoundsJson.Word(r.FateOf(j))))
            .Concat(r.Nodes.Select(node => RoundsJson.Word(node.Fate)))).ToHashSet();
        var list = Element("ul", "legend");
        foreach (var (kind, meaning) in ((string, string)[])[
            ("accepted", "the draft had it right"),
            ("rejected", "the draft had it wrong: u picks another token"),
            ("corrected", "the token that u picks, in place of a rejected one"),
            ("bonus", "one more from the model, behind a draft that was right to its end"),
            ("plain", "from the model, as nothing was drafted"),
            ("discarded", "drafted behind a wrong token"),
            ("unchecked", "drafted, but not worth checking")])
        {
            if (kinds.Contains(kind))
            {
                list.Add(Element("li", "", Token(kind, kind), meaning));
            }
        }

        if (rounds.Any(r => r.Branches.Length > 0))
        {
            list.Add(Element("li", "", Element("span", "branch true", "2 right: 5"),
                "the same call drafted 5 slots for the case that 2 draft tokens are right; marked: the case that came true, the next draft"));
        }

        list.Add(Element("li", "", facts.Any(f => f.Picked.Cell is not null)
            ? "A bar is the line from 0 to 1. Its filled part is the cell of the committed token under the model's law, its framed part "
                + "that of the rejected one, the mark is u: the token whose cell holds u is picked."
            : "p is the probability of the committed token under the model's law."));
        return list;
    }

    private static XElement Row(int number, string context, ShownRound round, PickFacts[] facts, TokenNames names)
    {
        var slots = Element("div", "slots");
        for (var slot = 0; slot < round.Tokens.Length; slot++)
        {
            slots.Add(Slot(round, slot, facts[round.Start + slot], names));
        }

        if (round.Dropped.ToList() is { Count: > 0 } dropped)
        {
            slots.Add(Element(
                "div", "dropped", [.. dropped.Select(j => Token(names.Of(round.Draft[j]), RoundsJson.Word(round.FateOf(j))))]));
        }

        if (round.Branches.Length > 0)
        {
            slots.Add(Element("div", "dropped ahead", ["drafted ahead", .. round.Branches.Select((count, m) => Element(
                "span", m == round.Correct ? "branch true" : "branch", Invariant($"{m} right: {count}")))]));
        }

        if (round.Nodes.Length > round.Draft.Length)
        {
            slots.Add(Element("div", "dropped", Element("ul", "tree", Node(round.Nodes, 0, names))));
        }

        var drafted = round.Nodes.Length > 0 ? Invariant($"tree of {round.Nodes.Length}, ") : round.Draft.Length > 0 ? Invariant($"{round.Draft.Length} drafted, ") : "";
        return Element(
            "section", "round",
            Element("div", "what", Element("b", "", Invariant($"{number}")), Invariant($" {drafted}{round.Tokens.Length} committed")),
            Element("div", "context", NotEmpty(context)), slots);
    }

    /// <summary>A node and what continues it.</summary>
    private static XElement Node(ShownNode[] nodes, int at, TokenNames names)
    {
        XElement[] children = [.. nodes.Index().Where(n => n.Item.Parent == at).Select(n => Node(nodes, n.Index, names))];
        return Element(
            "li", "", [Token(names.Of(nodes[at].Token), RoundsJson.Word(nodes[at].Fate)), .. children.Length > 0 ? (XElement[])[Element("ul", "", children)] : []]);
    }

    private static XElement Slot(ShownRound round, int slot, PickFacts facts, TokenNames names)
    {
        var origin = RoundsJson.Word(round.OriginOf(slot));
        return Element(
            "div", "slot",
            [
                .. round.Rejects(slot) ? (XElement[])[Token(names.Of(round.Draft[slot]), RoundsJson.Word(Fate.Rejected))] : [],
                Token(names.Of(round.Tokens[slot]), origin), .. Numbers(round.Start + slot, origin, facts),
            ]);
    }

    private static object[] Numbers(int index, string origin, PickFacts facts)
    {
        var name = Element("span", "index", "u", Element("sub", "", Invariant($"{index}")));
        return (facts.U, facts.Picked.Cell) switch
        {
            ({ } u, { } cell) when UnitText.Of(u, cell) is var text =>
                [
                    Bar(u, cell, facts.Rejected?.Cell, origin), Element("span", "u", name, " = " + text.U),
                    Element("span", "cell", text.Cell),
                ],
            ({ } u, null) =>
                [Element("span", "u", name, " = " + UnitText.Of(u)), Chance(facts)],
            _ => [Chance(facts)],
        };
    }

    private static XElement Chance(PickFacts facts) => Element("span", "cell", "p = " + UnitText.Of(facts.Picked.Probability));

    private static XElement Bar(double u, CellBounds cell, CellBounds? rejected, string origin)
    {
        var bar = new XElement(
            s_svg + "svg", new XAttribute("viewBox", Invariant($"0 0 {BarWidth} 17")), new XAttribute("role", "img"),
            new XAttribute("aria-label", Invariant($"u {u:0.####} between {cell.Left:0.####} and {cell.Right:0.####}")),
            Rectangle("track", new CellBounds(0, 1), 8, 6), Rectangle("at " + origin, cell, 6, 10));
        if (rejected is { Width: > 0 } other)
        {
            bar.Add(Rectangle("not", other, 6, 10));
        }

        // Above the bar: on it, it would hide a narrow cell.
        bar.Add(new XElement(
            s_svg + "path", new XAttribute("class", "mark"), new XAttribute("d", Invariant($"M{u * BarWidth - 3:0.##} 0h6l-3 5z"))));
        return bar;
    }

    private static XElement Rectangle(string name, CellBounds cell, int top, int height)
    {
        // A cell narrower than a pixel is drawn one pixel wide, or nobody would see it.
        var width = Math.Max(1, cell.Width * BarWidth);
        var left = Math.Min(cell.Left * BarWidth, BarWidth - width);
        return new XElement(
            s_svg + "rect", new XAttribute("class", name), Number("x", left), Number("y", top), Number("width", width),
            Number("height", height));
    }

    private static XAttribute Number(string name, double value) => new(name, value.ToString("0.##", CultureInfo.InvariantCulture));

    /// <summary>A token; what is struck through is its text, not the space before it, where a line would read as a dash.</summary>
    private static XElement Token(string text, string kind)
    {
        if (kind is not ("rejected" or "discarded" or "unchecked"))
        {
            return Element("span", "token " + kind, text);
        }

        var space = string.IsNullOrWhiteSpace(text) ? 0 : text.Length - text.TrimStart(' ').Length;
        return Element("span", "token " + kind, text[..space], Element("s", "", text[space..]));
    }

    private static XElement Meta(string name, string content) =>
        new(s_html + "meta", new XAttribute("name", name), new XAttribute("content", content));

    private static XElement Element(string tag, string name, params object[] content) =>
        new(s_html + tag, name.Length > 0 ? new XAttribute("class", name) : null, content);

    /// <summary>A space of no width for no text: HTML does not know elements that close themselves.</summary>
    private static string NotEmpty(string text) => text.Length > 0 ? text : "\u200b";

    /// <summary>The end of a text, cut between words where one ends soon, else between characters.</summary>
    private static string Shortened(string text, int most = ContextLength)
    {
        if (text.Length <= most)
        {
            return text;
        }

        var cut = text.Length - most;
        var space = text.IndexOf(' ', cut, Math.Min(LongestWord, most));
        return "\u2026" + text[(space >= 0 ? space : char.IsLowSurrogate(text[cut]) ? cut + 1 : cut)..];
    }
}
