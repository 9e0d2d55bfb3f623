"""Countersign's rerank engine: encoder, embedded classifier, LRSL reranking and retrieval.

A pure library: it knows nothing of Django, Celery or the rest of Countersign. Heavy libraries
(torch, sentence-transformers, faiss) are imported only inside the functions that need them.
"""
