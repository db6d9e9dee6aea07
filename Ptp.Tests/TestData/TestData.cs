// Finds the folder of real data (weights, vectors, corpora) that some tests compare with.
// Order: the variable PTP_DATA, then shared/data beside the repository, then one folder further up.
// Not here: the data. It is no part of the repository, and tests that need it skip, with a reason, without it.

using Xunit;

namespace Ptp.Tests;

/// <summary>Where the real data lies, if it does.</summary>
public static class TestData
{
    public static string RepositoryRoot { get; } = FindRepository();

    /// <summary>The data folder, or null when absent.</summary>
    public static string? Root { get; } = FindData();

    /// <summary>Full path of a file or folder of the data, given with '/'.</summary>
    public static string Path(string relative) =>
        System.IO.Path.Combine(Root ?? throw new InvalidOperationException("Use [DataFact]."), relative);

    public static string? Reason(string[] needs)
    {
        if (Root is null)
        {
            return "Real data is absent: set PTP_DATA to its folder.";
        }

        foreach (var need in needs)
        {
            var path = System.IO.Path.Combine(Root, need);
            if (!File.Exists(path) && !Directory.Exists(path))
            {
                return $"Real data lacks {need}.";
            }
        }

        return null;
    }

    private static string FindRepository()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(at.FullName, "Ptp.sln")))
            {
                return at.FullName;
            }
        }

        throw new InvalidOperationException("Ptp.sln is in no folder above " + AppContext.BaseDirectory);
    }

    private static string? FindData()
    {
        var named = Environment.GetEnvironmentVariable("PTP_DATA");
        if (!string.IsNullOrEmpty(named))
        {
            return Directory.Exists(named) ? System.IO.Path.GetFullPath(named) : null;
        }

        foreach (var up in (string[])["..", "../.."])
        {
            var path = System.IO.Path.GetFullPath(System.IO.Path.Combine(RepositoryRoot, up, "shared", "data"));
            if (Directory.Exists(path))
            {
                return path;
            }
        }

        return null;
    }
}

/// <summary>A fact that needs real data; skips, with a reason, where a named file or folder is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute(params string[] needs)
    {
        Needs = needs;
        Skip = TestData.Reason(needs);
    }

    public IReadOnlyList<string> Needs { get; }
}

/// <summary>A theory that needs real data; skips, with a reason, where the data is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataTheoryAttribute : TheoryAttribute
{
    public DataTheoryAttribute() => Skip = TestData.Reason([]);
}
