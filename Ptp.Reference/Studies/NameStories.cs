// A language of little stories about two people, each with a name of two tokens that returns: the induction task of Gloeckle et al. (2024).
//   sentence = connecting words, then a name;  a story's names are first_i second_j; only the first telling of a name is a surprise
// While training, each first name goes with a few second names only, as in ordinary stories; tested are names nobody has heard.
// Refuses: nothing. Not here: real children's stories, for which a laptop has no time.

using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Reference.Studies;

/// <summary>Stories with names.</summary>
internal static class NameStories
{
    /// <summary>The token before every story.</summary>
    public const int Begin = 0;

    /// <summary>Connecting words.</summary>
    public const int Words = 15;

    /// <summary>First names, and as many second ones.</summary>
    public const int Names = 16;

    /// <summary>V.</summary>
    public const int Vocabulary = 1 + Words + 2 * Names;

    /// <summary>Tokens of a story.</summary>
    public const int Length = 48;

    private const int Partners = 4; // second names that go with a first name in training

    /// <summary>A story.</summary>
    /// <param name="random">Its stream.</param>
    /// <param name="unheard">True for names that no training story has.</param>
    public static int[] Story(RandomStream random, bool unheard)
    {
        var first = random.NextInt(Names);
        int[] firsts = [first, (first + 1 + random.NextInt(Names - 1)) % Names];
        int[] seconds = [.. firsts.Select(f => Second(f, random, unheard))];
        var story = new List<int> { Begin };
        var word = 1 + random.NextInt(Words);
        while (story.Count < Length)
        {
            for (var count = 2 + random.NextInt(3); count > 0; count--)
            {
                // Half of the words follow from the word before, so that there is something else to learn.
                word = random.NextInt(2) == 0 ? 1 + word * 7 % Words : 1 + random.NextInt(Words);
                story.Add(word);
            }

            var who = random.NextInt(2);
            story.Add(1 + Words + firsts[who]);
            story.Add(1 + Words + Names + seconds[who]);
        }

        return [.. story.Take(Length)];
    }

    /// <summary>Stories as texts whose tokens are all targets.</summary>
    public static IReadOnlyList<Completion> Stories(int count, string stream, bool unheard)
    {
        var random = new RandomStream(1, stream);
        return [.. Enumerable.Range(0, count).Select(_ => new Completion(Story(random, unheard), 1, MultiTokenModels.NoU))];
    }

    /// <summary>Places of second names whose first name was told with them before: what induction can know.</summary>
    public static IEnumerable<int> Returns(int[] story)
    {
        var told = new HashSet<int>();
        for (var place = 1; place < story.Length; place++)
        {
            if (IsSecond(story[place]) && !told.Add(story[place - 1]))
            {
                yield return place;
            }
        }
    }

    /// <summary>True for the second token of a name.</summary>
    public static bool IsSecond(int token) => token > Words + Names;

    /// <summary>True if training stories have the name.</summary>
    public static bool IsHeard(int first, int second) => (second - first * 5 % Names + Names) % Names < Partners;

    private static int Second(int first, RandomStream random, bool unheard)
    {
        while (true)
        {
            var second = random.NextInt(Names);
            if (IsHeard(first, second) != unheard)
            {
                return second;
            }
        }
    }
}
