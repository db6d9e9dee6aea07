// The header of a safetensors file: parsed and checked whole before a single value is read or a buffer is made.
// Source: the safetensors format: 8-byte length, JSON of name -> dtype, shape, offsets, then values without holes.
// Refuses: everything that does not describe the file's bytes exactly; memory stays proportional to the header.

using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Unicode;

namespace Ptp.Core.Formats;

/// <summary>Where one tensor lies in its file.</summary>
/// <param name="Shape">Its sizes.</param>
/// <param name="DType">The format's name in the file; Ptp reads F32, F16 and BF16.</param>
/// <param name="Begin">First byte, counted from the end of the header.</param>
/// <param name="End">One past the last byte.</param>
internal sealed record TensorPlace(int[] Shape, string DType, long Begin, long End);

/// <summary>A checked header.</summary>
internal sealed class SafetensorsHeader
{
    /// <summary>No header may be longer; the format's own limit.</summary>
    public const int MaxLength = 100_000_000;

    private readonly string _path;

    private SafetensorsHeader(string path) => _path = path;

    /// <summary>Every tensor by name.</summary>
    public Dictionary<string, TensorPlace> Places { get; } = new(StringComparer.Ordinal);

    /// <summary>Names in the order of their bytes.</summary>
    public List<string> Names { get; } = [];

    /// <summary>What the writer noted.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Parses and checks a header.</summary>
    /// <param name="path">The file's name, for messages.</param>
    /// <param name="json">The header without its length.</param>
    /// <param name="dataLength">Bytes that follow the header.</param>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataLength)
    {
        var header = new SafetensorsHeader(path);
        if (!Utf8.IsValid(json))
        {
            throw header.Bad("bytes that are no UTF-8 in the header", "a JSON header in UTF-8");
        }

        try
        {
            header.ReadObject(json, dataLength);
        }
        catch (JsonException error)
        {
            throw header.Bad($"a header that is no JSON ({error.Message.TrimEnd('.')})", "a JSON object", error);
        }
        catch (InvalidOperationException error) // half a surrogate pair, written as an escape
        {
            throw header.Bad($"a name that is no text ({error.Message.TrimEnd('.')})", "names in Unicode", error);
        }

        header.CheckPlaces(dataLength);
        return header;
    }

    private void ReadObject(ReadOnlySpan<byte> json, long dataLength)
    {
        var reader = new Utf8JsonReader(json);
        Expect(reader.Read() && reader.TokenType == JsonTokenType.StartObject, "no JSON object", "a JSON object");
        var metadataSeen = false;
        while (Next(ref reader) != JsonTokenType.EndObject)
        {
            var name = reader.GetString()!;
            Next(ref reader);
            if (name == "__metadata__")
            {
                Expect(!metadataSeen, "__metadata__ twice", "each name once");
                metadataSeen = true;
                ReadMetadata(ref reader);
            }
            else if (!Places.TryAdd(name, ReadPlace(ref reader, name, dataLength)))
            {
                throw Bad($"the name '{name}' twice", "each name once");
            }
        }

        Expect(!reader.Read(), "text after the header's object", "spaces only"); // spaces pad the header
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        Expect(reader.TokenType == JsonTokenType.StartObject, "__metadata__ that is no object", "an object of texts");
        while (Next(ref reader) != JsonTokenType.EndObject)
        {
            var key = reader.GetString()!;
            Expect(Next(ref reader) == JsonTokenType.String, "metadata that is no text", "an object of texts");
            Expect(Metadata.TryAdd(key, reader.GetString()!), "one name twice in __metadata__", "each name once");
        }
    }

    private TensorPlace ReadPlace(ref Utf8JsonReader reader, string name, long dataLength)
    {
        Expect(reader.TokenType == JsonTokenType.StartObject, "a tensor that is no object", "an object");
        string? type = null;
        List<long>? shape = null, offsets = null;
        while (Next(ref reader) != JsonTokenType.EndObject)
        {
            var field = reader.GetString();
            Next(ref reader);
            switch (field)
            {
                case "dtype" when type is null && reader.TokenType == JsonTokenType.String:
                    type = reader.GetString();
                    break;
                case "shape" when shape is null:
                    shape = ReadNumbers(ref reader, name, field);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadNumbers(ref reader, name, field);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw Bad($"'{name}' with a bad or second {field}", "dtype, shape and data_offsets once each");
                default:
                    reader.Skip();
                    break;
            }
        }

        if (type is null || shape is null || offsets is not [var begin, var end])
        {
            throw Bad($"'{name}' without dtype, shape or two offsets", "dtype, shape and data_offsets once each");
        }

        if (begin > end || end > dataLength)
        {
            throw Bad($"'{name}' at bytes {begin} to {end}", $"a range within {dataLength} bytes");
        }

        var bits = Bits(name, type, shape);
        if (bits % 8 != 0 || bits / 8 != end - begin)
        {
            throw Bad($"'{name}' with {end - begin} bytes", $"{bits / 8} bytes for {shape.Count} sizes of {type}");
        }

        var sizes = new int[shape.Count];
        for (var i = 0; i < sizes.Length; i++)
        {
            sizes[i] = shape[i] <= int.MaxValue
                ? (int)shape[i]
                : throw Bad($"'{name}' with a size of {shape[i]}", $"sizes up to {int.MaxValue}");
        }

        return new TensorPlace(sizes, type, begin, end);
    }

    private long Bits(string name, string type, List<long> shape)
    {
        long bits = type switch
        {
            "F64" or "I64" or "U64" or "C64" => 64,
            "F32" or "I32" or "U32" => 32,
            "F16" or "BF16" or "I16" or "U16" => 16,
            "U8" or "I8" or "BOOL" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" => 8,
            "F6_E2M3" or "F6_E3M2" => 6,
            "F4" => 4,
            _ => throw Bad($"'{name}' of unknown dtype '{type}'", "a dtype of the safetensors format, such as F32"),
        };
        foreach (var size in shape)
        {
            if (size != 0 && bits > long.MaxValue / 16 / size)
            {
                throw Bad($"'{name}' with a shape that overflows", "a shape whose values fit the file");
            }

            bits *= size;
        }

        return bits;
    }

    private List<long> ReadNumbers(ref Utf8JsonReader reader, string name, string field)
    {
        Expect(reader.TokenType == JsonTokenType.StartArray, "a shape or offsets that are no list", "a list");
        var numbers = new List<long>(4);
        while (Next(ref reader) != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var number) || number < 0)
            {
                throw Bad($"'{name}' with a bad number in {field}", "whole numbers from 0");
            }

            numbers.Add(number);
        }

        return numbers;
    }

    // Sorted by their first byte, the tensors must tile the data: no overlap, no hole, nothing left over.
    private void CheckPlaces(long dataLength)
    {
        Names.AddRange(Places.Keys);
        Names.Sort((a, b) =>
        {
            var (x, y) = (Places[a], Places[b]);
            var order = x.Begin != y.Begin ? x.Begin.CompareTo(y.Begin) : x.End.CompareTo(y.End);
            return order != 0 ? order : string.CompareOrdinal(a, b);
        });
        var at = 0L;
        foreach (var name in Names)
        {
            var place = Places[name];
            if (place.Begin != at)
            {
                throw Bad($"'{name}' at byte {place.Begin}",
                    $"byte {at}, where the tensor before it ends (no overlap, no hole)");
            }

            at = place.End;
        }

        Expect(at == dataLength, $"{dataLength} bytes of values", $"{at}, as the header says");
    }

    private JsonTokenType Next(ref Utf8JsonReader reader)
    {
        Expect(reader.Read(), "a header that ends early", "a JSON object");
        return reader.TokenType;
    }

    private void Expect([DoesNotReturnIf(false)] bool ok, string received, string expected)
    {
        if (!ok)
        {
            throw Bad(received, expected);
        }
    }

    private PtpException Bad(string received, string expected, Exception? inner = null) => new(
        $"Read {_path}", received, expected,
        "The file is damaged or of another format: fetch or write it again.", inner);
}
