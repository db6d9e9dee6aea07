// A language of little stories about two people, each with a name of two tokens that returns: the induction task of Gloeckle et al. (2024).
//   sentence = connecting words, then a name;  a story's names are first_i second_j, any pair as likely; only the first telling of a name
//   is a surprise, and all that is to be known about the second telling stands in the story itself
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
    public const int Words = 7;

    /// <summary>First names, and as many second ones.</summary>
    public const int Names = 8;

    /// <summary>V.</summary>
    public const int Vocabulary = 1 + Words + 2 * Names;

    /// <summary>Tokens of a story.</summary>
    public const int Length = 32;

    /// <summary>A story.</summary>
    /// <param name="random">Its stream.</param>
    public static int[] Story(RandomStream random)
    {
        var first = random.NextInt(Names);
        int[] firsts = [first, (first + 1 + random.NextInt(Names - 1)) % Names];
        int[] seconds = [random.NextInt(Names), random.NextInt(Names)];
        var story = new List<int> { Begin };
        var word = 1 + random.NextInt(Words);
        while (story.Count < Length)
        {
            for (var count = 1 + random.NextInt(2); count > 0; count--)
            {
                // Half of the words follow from the word before, so that there is something else to learn.
                word = random.NextInt(2) == 0 ? 1 + word * 3 % Words : 1 + random.NextInt(Words);
                story.Add(word);
            }

            var who = random.NextInt(2);
            story.Add(1 + Words + firsts[who]);
            story.Add(1 + Words + Names + seconds[who]);
        }

        return [.. story.Take(Length)];
    }

    /// <summary>Stories as texts whose tokens are all targets.</summary>
    public static IReadOnlyList<Completion> Stories(int count, string stream)
    {
        var random = new RandomStream(1, stream);
        return [.. Enumerable.Range(0, count).Select(_ => new Completion(Story(random), 1, MultiTokenModels.NoU))];
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
}
