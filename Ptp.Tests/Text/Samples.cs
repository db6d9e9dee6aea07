// Generated texts and tokenizers for the tests of this folder.
// Texts join fragments that tokenizers get wrong: blanks, contractions, digits, marks, joined emoji, rare planes.
// Every generator takes its random source, so that a seed names a case.

using System.Text;
using Ptp.Core.Text;

namespace Ptp.Tests.Text;

internal static class Samples
{
    private static readonly string[] s_fragments =
    [
        " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", "\u3000", "'s", "'S", "'ll", "'re", "'", "''", "the", " The", "Hello",
        "don't", "1", "42", "2024", "\u00b2", "\u0664", "\u2167", "!", "!!!!", "...", "(", ")", "-", "=====", "_", "$", "\u00e9", "e\u0301",
        "\u00df", "\u4f60\u597d", "\u0431\u043e\u0433", "\u0e2a\u0e27", "\u0915\u094d\u0937", "\U0001F600", "\U0001F468\u200d\U0001F469\u200d\U0001F467",
        "\U0001D400\U0001D401", "\U00020000", "\ufeff", "\u200b", "\u2581", "\0", "\u007f", "\u0085", "<s>", "</s>", "<|endoftext|>", "<0x41>", "\u0120",
    ];

    private static readonly Lazy<ByteLevelBpe> s_trained = new(() => BpeTrainer.Train(
        Enumerable.Range(0, 200).Select(i => Text(new Random(i), 40) + " the cat and the hat don't sit there, " + i), 700, ["<|endoftext|>", "<|pad|>"]));

    /// <summary>A tokenizer of 700 ids, trained on such texts.</summary>
    public static ByteLevelBpe Trained => s_trained.Value;

    /// <summary>A well-formed text of fragments and single random characters.</summary>
    public static string Text(Random random, int maxParts)
    {
        var text = new StringBuilder();
        for (var parts = random.Next(maxParts + 1); parts > 0; parts--)
        {
            text.Append(random.Next(4) > 0 ? s_fragments[random.Next(s_fragments.Length)] : Character(random).ToString());
        }

        return text.ToString();
    }

    /// <summary>Bytes: random ones, pieces of UTF-8 cut anywhere, and letters.</summary>
    public static byte[] Bytes(Random random, int maxParts)
    {
        var bytes = new List<byte>();
        for (var parts = random.Next(maxParts + 1); parts > 0; parts--)
        {
            var utf8 = Encoding.UTF8.GetBytes(s_fragments[random.Next(s_fragments.Length)]);
            bytes.AddRange(random.Next(3) switch
            {
                0 => [(byte)random.Next(256)],
                1 => utf8[..random.Next(utf8.Length + 1)],
                _ => utf8,
            });
        }

        return [.. bytes];
    }

    private static Rune Character(Random random)
    {
        var limit = random.Next(3) switch { 0 => 0x80, 1 => 0x3000, _ => 0x110000 };
        var value = random.Next(limit);
        return Rune.IsValid(value) ? new Rune(value) : new Rune('x');
    }
}
