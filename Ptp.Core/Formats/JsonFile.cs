// A small JSON file with typed fields, each read with an error that names file, field and what it should hold.
// Source: System.Text.Json's document model; no reflection, so that it works after ahead-of-time compilation.
// Refuses: names twice, bytes that are no UTF-8, half surrogate pairs, files over their limit, NaN (JSON has none).

using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Ptp.Core.Formats;

/// <summary>A parsed JSON object and the file it came from.</summary>
internal sealed class JsonFile : IDisposable
{
    /// <summary>Configurations and manifests are far smaller; what is larger is something else.</summary>
    public const int SmallFile = 1 << 20;

    private readonly JsonDocument _document;
    private readonly string _asked;
    private readonly JsonElement _root;

    private JsonFile(string asked, JsonDocument document, JsonElement root) =>
        (_asked, _document, _root) = (asked, document, root);

    /// <summary>Reads a file of at most <paramref name="limit"/> bytes.</summary>
    public static JsonFile Open(string path, int limit = SmallFile)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > limit)
            {
                throw Bad($"Read {path}", $"{stream.Length} bytes", $"at most {limit}");
            }

            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return Parse(bytes, $"Read {path}");
        }
        catch (Exception error) when (
            error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new PtpException($"Read {path}", error.Message.TrimEnd('.'), "a JSON file that can be read",
                "Check the path and its rights.", error);
        }
    }

    /// <summary>Parses bytes whose root must be an object.</summary>
    public static JsonFile Parse(ReadOnlyMemory<byte> bytes, string asked)
    {
        if (bytes.Span.StartsWith(Encoding.UTF8.Preamble))
        {
            bytes = bytes[Encoding.UTF8.Preamble.Length..];
        }

        if (!Utf8.IsValid(bytes.Span))
        {
            throw Bad(asked, "bytes that are no UTF-8", "a JSON file in UTF-8");
        }

        try
        {
            var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return new JsonFile(asked, document, document.RootElement);
            }

            document.Dispose();
            throw Bad(asked, "no JSON object", "a JSON object");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw Bad(asked, error.Message.TrimEnd('.'), "a JSON object with each name once", error);
        }
    }

    /// <summary>The field, or null if it is absent or null.</summary>
    public JsonElement? Find(string name) =>
        _root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>True if the field is there, null included.</summary>
    public bool Has(string name) => _root.TryGetProperty(name, out _);

    /// <summary>A whole number; absent or null gives the fallback, or an error without one.</summary>
    public int Int(string name, int? fallback = null) => Find(name) is { } value
        ? value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number
            : throw Wrong(name, value, "a whole number")
        : fallback ?? throw Missing(name);

    /// <summary>A whole number of 64 bits.</summary>
    public long Long(string name, long? fallback = null) => Find(name) is { } value
        ? value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number)
            ? number
            : throw Wrong(name, value, "a whole number")
        : fallback ?? throw Missing(name);

    /// <summary>A finite number.</summary>
    public double Number(string name, double? fallback = null) => Find(name) is { } value
        ? Finite(value) ?? throw Wrong(name, value, "a finite number")
        : fallback ?? throw Missing(name);

    /// <summary>True or false.</summary>
    public bool Flag(string name, bool fallback) => Find(name) is { } value
        ? value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw Wrong(name, value, "true or false")
        : fallback;

    /// <summary>A text.</summary>
    public string String(string name, string? fallback = null) => Find(name) is { } value
        ? value.ValueKind == JsonValueKind.String ? Text(value) : throw Wrong(name, value, "a text")
        : fallback ?? throw Missing(name);

    /// <summary>The fields of an object that must be there.</summary>
    public JsonElement.ObjectEnumerator Object(string name) => Find(name) is { } value
        ? value.ValueKind == JsonValueKind.Object ? value.EnumerateObject() : throw Wrong(name, value, "an object")
        : throw Missing(name);

    /// <summary>The text of a string element.</summary>
    public string Text(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException error) // half a surrogate pair, written as an escape
        {
            throw Bad(_asked, "a text that is no Unicode", "whole characters", error);
        }
    }

    /// <summary>The name of a field.</summary>
    public string Name(JsonProperty field)
    {
        try
        {
            return field.Name;
        }
        catch (InvalidOperationException error) // as above
        {
            throw Bad(_asked, "a name that is no Unicode", "whole characters", error);
        }
    }

    /// <summary>The error for a field that holds something else.</summary>
    public PtpException Wrong(string name, JsonElement value, string expected)
    {
        var text = value.GetRawText();
        return Bad($"{name} = {(text.Length <= 60 ? text : text[..60] + "...")}", expected);
    }

    /// <summary>An error about this file.</summary>
    public PtpException Bad(string received, string expected, string wayOut = WayOut) =>
        new(_asked, received, expected, wayOut);

    /// <summary>Frees the document.</summary>
    public void Dispose() => _document.Dispose();

    /// <summary>The number, if the element is one and it is finite as double.</summary>
    public static double? Finite(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : null;

    private const string WayOut = "Correct the file, or fetch it again.";

    private PtpException Missing(string name) => Bad($"no {name}", $"a file that states {name}");

    private static PtpException Bad(string asked, string received, string expected, Exception? inner = null) =>
        new(asked, received, expected, WayOut, inner);
}
