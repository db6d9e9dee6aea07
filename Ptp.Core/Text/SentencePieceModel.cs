// Reads tokenizer.model, SentencePiece's own protocol-buffer form: pieces (text, score, type), the trainer's kind of
// model and its special ids, the normalizer's switches. Fields that change no id are skipped.
// Refuses unigram models, character maps, dropped white space, user-defined pieces, and lengths that leave the file.

using System.Buffers.Binary;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>The reader of tokenizer.model.</summary>
internal sealed class SentencePieceModel
{
    private readonly string _source;
    private readonly List<Piece> _pieces = [];
    private ulong _modelType = 1;
    private ulong _begin = 1;
    private ulong _end = 2;
    private ulong _prefix = 1;
    private ulong _dropSpace = 1;
    private int _characterMap;

    private SentencePieceModel(string source) => _source = source;

    public static SentencePieceBpe Read(ReadOnlySpan<byte> bytes, string source)
    {
        var model = new SentencePieceModel(source);
        while (!bytes.IsEmpty)
        {
            var field = model.Next(ref bytes, out _, out var content);
            switch (field)
            {
                case 1:
                    model.ReadPiece(content);
                    break;
                case 2:
                    model.ReadTrainer(content);
                    break;
                case 3:
                    model.ReadNormalizer(content);
                    break;
                default:
                    break;
            }
        }

        return model.Build();
    }

    private SentencePieceBpe Build()
    {
        Require(_modelType == 2, $"a model of type {_modelType}", "type 2, BPE");
        Require(_characterMap == 0 && _dropSpace == 0, "a normalizer that changes characters or white space", "the identity");
        int? begin = _begin < (ulong)_pieces.Count ? (int)_begin : null;
        int[] end = _end < (ulong)_pieces.Count ? [(int)_end] : [];
        var prefix = _prefix != 0 ? SpacePrefix.Always : SpacePrefix.Never;
        return SentencePieceBuilder.FromScores([.. _pieces], prefix, begin, end, _source);
    }

    private void ReadPiece(ReadOnlySpan<byte> bytes)
    {
        var (text, score, type) = ("", 0f, 1UL);
        while (!bytes.IsEmpty)
        {
            var field = Next(ref bytes, out var number, out var content);
            switch (field)
            {
                case 1:
                    text = Encoding.UTF8.GetString(content);
                    break;
                case 2:
                    score = BitConverter.UInt32BitsToSingle((uint)number);
                    break;
                case 3:
                    type = number;
                    break;
                default:
                    break;
            }
        }

        Require(type is 1 or 2 or 3 or 6, $"the piece '{text}' of type {type}", "normal, unknown, control or byte pieces");
        Require(_pieces.Count < TokenizerFiles.MaxVocabulary, "too many pieces", $"at most {TokenizerFiles.MaxVocabulary}");
        _pieces.Add(new Piece(SentencePieceBuilder.Bytes(text), score, Special: type is 2 or 3));
    }

    private void ReadTrainer(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var field = Next(ref bytes, out var number, out _);
            _modelType = field == 3 ? number : _modelType;
            _begin = field == 41 ? number : _begin;
            _end = field == 42 ? number : _end;
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var field = Next(ref bytes, out var number, out var content);
            _characterMap = field == 2 ? content.Length : _characterMap;
            _prefix = field == 3 ? number : _prefix;
            _dropSpace = field == 4 ? number : _dropSpace;
        }
    }

    /// <summary>The id of the next field, and its number (a float's bits too) or its bytes.</summary>
    private ulong Next(ref ReadOnlySpan<byte> bytes, out ulong number, out ReadOnlySpan<byte> content)
    {
        var tag = Variable(ref bytes);
        number = 0;
        content = [];
        switch (tag & 7)
        {
            case 0:
                number = Variable(ref bytes);
                break;
            case 1:
                number = BinaryPrimitives.ReadUInt64LittleEndian(Take(ref bytes, 8));
                break;
            case 2:
                content = Take(ref bytes, Variable(ref bytes));
                break;
            case 5:
                number = BinaryPrimitives.ReadUInt32LittleEndian(Take(ref bytes, 4));
                break;
            default:
                throw TokenizerFiles.Damaged(_source, $"wire type {tag & 7}", "a field of a protocol buffer");
        }

        return tag >> 3;
    }

    private ulong Variable(ref ReadOnlySpan<byte> bytes)
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var b = Take(ref bytes, 1)[0];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                return value;
            }
        }

        throw TokenizerFiles.Damaged(_source, "a number of more than 64 bits", "a field of a protocol buffer");
    }

    private ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> bytes, ulong count)
    {
        Require(count <= (ulong)bytes.Length, $"a field of {count} bytes where {bytes.Length} are left", "whole fields");
        var taken = bytes[..(int)count];
        bytes = bytes[(int)count..];
        return taken;
    }

    private void Require(bool condition, string received, string expected)
    {
        if (!condition)
        {
            throw TokenizerFiles.Damaged(_source, received, expected);
        }
    }
}
