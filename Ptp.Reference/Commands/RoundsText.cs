// Rounds on a terminal: one line per round, accepted tokens green, corrections yellow, bonus tokens cyan, rejected drafts struck
// through; below it the slots of branches drafted ahead, or what else a tree held at a place; on request a line per token with u and its cell. Without colour, marks say the same: ~rejected~ [corrected] +bonus+.
// Refuses: nothing; texts of tokens are escaped (TokenNames), so that they cannot act on the terminal.

using Ptp.Core.Paper;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Draws rounds as text.</summary>
/// <param name="output">Where to.</param>
/// <param name="names">Names of tokens.</param>
internal sealed class RoundsText(Output output, TokenNames names)
{
    private const int BarWidth = 24;
    private const string Struck = "9;31";
    private const string StruckDim = "9;2";
    private int _drawn;

    /// <summary>What the marks mean.</summary>
    public void Legend()
    {
        output.Write("round tokens  ");
        Committed("accepted draft", Origin.Accepted);
        output.Write("  ");
        Dropped("rejected or dropped draft", Fate.Rejected);
        output.Write("  ");
        Committed("correction", Origin.Corrected);
        output.Write("  ");
        Committed("bonus", Origin.Bonus);
        output.Line();
    }

    /// <summary>A round.</summary>
    /// <param name="round">The round.</param>
    /// <param name="facts">Why its tokens were picked, in order; empty to leave that out.</param>
    public void Draw(ShownRound round, ReadOnlySpan<PickFacts> facts)
    {
        output.Write(Invariant($"{++_drawn,5} {"+" + Invariant($"{round.Tokens.Length}"),6}  "));
        for (var i = 0; i < round.Tokens.Length; i++)
        {
            if (round.Rejects(i))
            {
                Dropped(names.Of(round.Draft[i]), Fate.Rejected);
            }

            Committed(names.Of(round.Tokens[i]), round.OriginOf(i));
        }

        Dropped(string.Concat(round.Dropped.Select(j => names.Of(round.Draft[j]))), Fate.Discarded);
        output.Line();
        Branches(round);
        Nodes(round);
        for (var i = 0; i < facts.Length; i++)
        {
            Explain(round, i, facts[i]);
        }
    }

    /// <summary>The line [0, 1) as characters: the cell as =, u as |.</summary>
    internal static string Bar(double u, CellBounds cell) => string.Create(BarWidth, (u, cell), (bar, at) =>
    {
        bar.Fill('.');
        var left = (int)(at.cell.Left * BarWidth);
        bar[left..Math.Clamp((int)Math.Ceiling(at.cell.Right * BarWidth), left + 1, BarWidth)].Fill('=');
        bar[(int)(at.u * BarWidth)] = '|';
    });

    /// <summary>m:slots of each branch; the one that came true is the next round's draft.</summary>
    private void Branches(ShownRound round)
    {
        if (round.Branches.Length == 0)
        {
            return;
        }

        output.Write($"{"ahead",14}  ");
        foreach (var (m, slots) in round.Branches.Index())
        {
            output.WriteStyled(Invariant($"{(m > 0 ? " " : "")}{m}:{slots}"), m == round.Correct ? Output.Green : "2");
            output.Write(m == round.Correct && !output.Colour ? "*" : "");
        }

        output.Line();
    }

    /// <summary>A line for each place at which the tree held more than the path.</summary>
    private void Nodes(ShownRound round)
    {
        foreach (var place in round.Nodes.GroupBy(node => node.Depth).Where(place => place.Any(node => node.Fate != Fate.Accepted)))
        {
            output.Write(Invariant($"{"tree " + Invariant($"{place.Key}"),14}  "));
            foreach (var (i, node) in place.Index())
            {
                output.Write(i > 0 ? " " : "");
                if (node.Fate == Fate.Accepted)
                {
                    Committed(names.Of(node.Token), Origin.Accepted);
                }
                else
                {
                    Dropped(names.Of(node.Token), node.Fate);
                }
            }

            output.Line();
        }
    }

    private void Explain(ShownRound round, int i, PickFacts facts)
    {
        var at = Invariant($"{(facts.U is null ? "" : "u") + Invariant($"{round.Start + i}"),14}");
        output.Write((facts.U, facts.Picked.Cell) switch
        {
            ({ } u, { } cell) when UnitText.Of(u, cell) is var text => $"{at}  {text.U} in {text.Cell}  {Bar(u, cell)}  ",
            ({ } u, null) => $"{at}  {UnitText.Of(u)}  p {UnitText.Of(facts.Picked.Probability)}  ",
            _ => $"{at}  p {UnitText.Of(facts.Picked.Probability)}  ",
        });
        Committed(names.Of(round.Tokens[i]), round.OriginOf(i));
        if (facts.Rejected is { } rejected)
        {
            output.Write("  not ");
            Dropped(names.Of(round.Draft[i]), Fate.Rejected);
            output.Write("  " + (facts.U is { } u && rejected.Cell is { Width: > 0 } cell
                ? UnitText.Of(u, cell).Cell
                : $"p {UnitText.Of(rejected.Probability)}"));
        }

        output.Line();
    }

    private void Committed(string text, Origin origin)
    {
        var (style, before, after) = origin switch
        {
            Origin.Accepted => (Output.Green, "", ""),
            Origin.Corrected => ("33", "[", "]"),
            Origin.Bonus => ("36", "+", "+"),
            _ => ("", "", ""),
        };
        output.WriteStyled(output.Colour ? text : before + text + after, style);
    }

    private void Dropped(string text, Fate fate)
    {
        if (text.Length > 0)
        {
            output.WriteStyled(output.Colour ? text : $"~{text}~", fate == Fate.Rejected ? Struck : StruckDim);
        }
    }
}
